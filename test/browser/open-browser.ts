import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

/** @throws Error that says how to get one when there is no browser: these tests are never left out */
export async function openBrowser(): Promise<Browser> {
  const executablePath = process.env["CONCORD_BROWSER"] ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(
      `no browser at ${executablePath}: install Chromium (on Debian: apt-get install chromium), or set CONCORD_BROWSER to one`,
    );
  }
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

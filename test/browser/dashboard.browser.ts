import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type RunningServer } from "../../adapters/node/server.ts";
import { scriptedGateway } from "../dashboard/scripted-gateway.ts";
import { scriptedObservations } from "../dashboard/scripted-observations.ts";
import { scriptedSources } from "../dashboard/scripted-sources.ts";
import { testGateway } from "../gateway/harness.ts";
import { openBrowser } from "./open-browser.ts";

const PAGES = [
  { name: "now", path: "/?range=24h" },
  { name: "disagreement", path: "/disagreement?range=24h" },
  { name: "requests", path: "/requests" },
  { name: "request", path: "/requests/chatcmpl-0478" },
  { name: "request-without-text", path: "/requests/chatcmpl-0479" },
  { name: "layers", path: "/layers" },
  { name: "confidence", path: "/confidence" },
  { name: "experiments", path: "/experiments" },
  { name: "experiment", path: "/experiments/ensemble-or-gemma" },
  { name: "probes", path: "/probes" },
  { name: "alerts", path: "/alerts" },
  { name: "bad-address", path: "/requests?order=sideways" },
];
/** Those that the documentation shows, and how. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  now: ["light-1440", "dark-360"],
  disagreement: ["dark-1440"],
  request: ["light-1440", "light-360"],
  layers: ["light-1440"],
  confidence: ["light-1440"],
  experiment: ["dark-1440"],
};
const LOOKS = (["light", "dark"] as const).flatMap((scheme) =>
  [360, 1440].map((width) => ({ scheme, width })),
);
const DOCS = fileURLToPath(new URL("../../docs/dashboard/", import.meta.url));
/** Where all pictures go when somebody wants to look at them. */
const EVERYTHING = process.env["CONCORD_SCREENSHOTS"];

let browser: Browser;
let full: RunningServer;
let empty: RunningServer;
let locked: RunningServer;

const serve = (gateway: ReturnType<typeof testGateway>): Promise<RunningServer> =>
  startServer({ app: gateway, host: "127.0.0.1", port: 0, graceMs: 100 });

beforeAll(async () => {
  const sources = scriptedSources();
  browser = await openBrowser();
  full = await serve(scriptedGateway(sources));
  empty = await serve(
    testGateway({ clock: sources.clock, observations: scriptedObservations({ records: [] }) }),
  );
  locked = await serve(scriptedGateway({ ...sources, apiKey: "open sesame" }));
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([full?.close(), empty?.close(), locked?.close()]);
});

async function visit<T>(
  { scheme, width, scripts = true }: { scheme: "light" | "dark"; width: number; scripts?: boolean },
  look: (page: Page, context: BrowserContext) => Promise<T>,
): Promise<T> {
  const context = await browser.newContext({
    colorScheme: scheme,
    viewport: { width, height: width < 800 ? 740 : 900 },
    javaScriptEnabled: scripts,
    timezoneId: "UTC",
  });
  try {
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().includes("400 (Bad Request)"))
        faults.push(message.text());
    });
    page.on("pageerror", (error) => faults.push(error.message));
    const result = await look(page, context);
    expect(faults).toEqual([]);
    return result;
  } finally {
    await context.close();
  }
}

async function violations(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).analyze();
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
  );
}

async function keepPicture(page: Page, name: string, look: string): Promise<void> {
  const whole = EVERYTHING !== undefined;
  if (!whole && SHOWN[name]?.includes(look) !== true) return;
  const folder = EVERYTHING ?? DOCS;
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/${name}-${look}.png`, await page.screenshot({ fullPage: whole }));
}

describe.each(LOOKS)("in $scheme, $width px wide", ({ scheme, width }) => {
  test.each(PAGES)("$name has no violation of accessibility, and fits", async ({ name, path }) => {
    await visit({ scheme, width }, async (page) => {
      await page.goto(`${full.url}${path}`);
      await keepPicture(page, name, `${scheme}-${width}`);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      for (const summary of await page.locator("details > summary").all()) await summary.click();
      expect(await violations(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    });
  });

  test.each([
    "/",
    "/disagreement",
    "/requests",
    "/layers",
    "/confidence",
    "/experiments",
    "/probes",
    "/alerts",
  ])("an empty %s has no violation of accessibility", async (path) => {
    await visit({ scheme, width }, async (page) => {
      await page.goto(`${empty.url}${path}`);
      await keepPicture(page, `empty${path.replace("/", "-")}`, `${scheme}-${width}`);
      expect(await violations(page)).toEqual([]);
    });
  });

  test("the sign-in page has none", async () => {
    await visit({ scheme, width }, async (page) => {
      await page.goto(locked.url);
      await keepPicture(page, "login", `${scheme}-${width}`);
      expect(await violations(page)).toEqual([]);
    });
  });
});

const DESK = { scheme: "light", width: 1440 } as const;

test("a key opens the pages, a wrong one does not, and signing out closes them", async () => {
  await visit({ ...DESK, scripts: false }, async (page) => {
    await page.goto(`${locked.url}/alerts?range=30d`);
    await page.getByLabel("API key").fill("open sesame");
    await page.getByRole("button", { name: "Sign in" }).click();
    expect(page.url()).toBe(`${locked.url}/alerts?range=30d`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.goto(`${locked.url}/alerts`);
    expect(page.url()).toContain("/login");
  });
});

test("without scripts a filter, a choice of colours and a button work", async () => {
  await visit({ ...DESK, scripts: false }, async (page) => {
    await page.goto(`${full.url}/disagreement`);
    await page.getByText("Filter, or other times").click();
    await page.getByLabel("Divergence at least").fill("0.2");
    await page.getByRole("button", { name: "Show" }).click();
    expect(page.url()).toContain("min_divergence=0.2");
    await page.getByRole("button", { name: "Dark" }).click();
    expect(page.url()).toContain("min_divergence=0.2");
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(
      "rgb(14, 17, 22)",
    );
    await page.goto(`${full.url}/experiments/ensemble-or-gemma`);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on" }).click();
    expect(await page.getByRole("button", { name: "Pause" }).count()).toBe(1);
  });
});

test("by keyboard alone one comes from the first page to an answer's tokens", async () => {
  await visit(DESK, async (page) => {
    await page.goto(`${full.url}/?range=24h`);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toContain("Skip to the page");
    await page.getByRole("link", { name: "Request chatcmpl-0478" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL("**/requests/chatcmpl-0478");
    await page.locator("a.tok").nth(5).focus();
    await page.keyboard.press("Enter");
    expect(page.url()).toContain("#t5");
    expect(await page.locator("#t5").isVisible()).toBe(true);
  });
});

test("markup in prompts and tokens is shown, not run", async () => {
  await visit(DESK, async (page) => {
    let asked = false;
    page.on("dialog", (dialog) => {
      asked = true;
      void dialog.dismiss();
    });
    await page.goto(`${full.url}/requests?limit=500`);
    expect(await page.getByText("<script>alert").count()).toBeGreaterThan(0);
    await page.goto(`${full.url}/requests/chatcmpl-0478`);
    expect(await page.locator("script:not([src]), img").count()).toBe(0);
    expect(asked).toBe(false);
  });
});

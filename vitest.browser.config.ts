import { defineConfig } from "vitest/config";

/** Tests in a real browser: `CONCORD_BROWSER` names a Chromium, by default Debian's. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.browser.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks",
  },
});

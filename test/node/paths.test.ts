import { existsSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { concordPaths } from "../../adapters/node/paths.ts";

test("everything lies under CONCORD_HOME, and asking creates nothing", () => {
  const home = join(tmpdir(), `concord-paths-${process.pid}`);
  expect(concordPaths({ CONCORD_HOME: home })).toEqual({
    models: join(home, "models"),
    graphs: join(home, "graphs"),
    scores: join(home, "scores"),
    maps: join(home, "maps"),
    database: join(home, "agreement.sqlite"),
    watch: join(home, "watch.json"),
    report: join(home, "confidence-report.json"),
  });
  expect(existsSync(home)).toBe(false);
});

test("a relative CONCORD_HOME is taken from the working folder", () => {
  expect(concordPaths({ CONCORD_HOME: "state" }).models).toBe(join(process.cwd(), "state", "models"));
});

test.each([[{}], [{ CONCORD_HOME: "" }]])(
  "without CONCORD_HOME the platform's folders are taken (%o)",
  (env) => {
    const { models, graphs, maps, database } = concordPaths(env);
    for (const path of [models, graphs, maps, database]) expect(path).toMatch(/concord/);
    expect(models.startsWith(process.env["XDG_CACHE_HOME"] ?? homedir())).toBe(true);
    expect(join(models, "..")).toBe(join(graphs, ".."));
  },
);

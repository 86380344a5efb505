import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";
import { applyMigrations } from "./d1-migrations.ts";

export interface BundledWorker {
  readonly code: string;
  /** Modules the bundle asks the runtime for; none of the product's is there to give them. */
  readonly imports: readonly string[];
}

/** Bundles a Worker entry for workerd as wrangler does. `entry` is relative to the repository. */
export async function bundleWorker(entry: string): Promise<BundledWorker> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL(`../../${entry}`, import.meta.url))],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["node:*", "cloudflare:*"],
  });
  const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports);
  return { code: result.outputFiles[0]?.text ?? "", imports: imports.map(({ path }) => path) };
}

/** The Worker with the settings of wrangler.toml and a D1 that has the migrations. */
export async function startWorker(
  { code }: BundledWorker,
  bindings: Record<string, string> = {},
): Promise<Miniflare> {
  const config = unstable_readConfig({
    config: fileURLToPath(new URL("../../wrangler.toml", import.meta.url)),
  });
  const [database] = config.d1_databases;
  if (config.compatibility_date === undefined || database === undefined) {
    throw new Error("wrangler.toml: expected a compatibility date and a D1 database");
  }
  const miniflare = new Miniflare({
    modules: true,
    script: code,
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags,
    d1Databases: [database.binding],
    bindings,
  });
  await applyMigrations(await miniflare.getD1Database(database.binding));
  return miniflare;
}

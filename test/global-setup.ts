import { modelManifest } from "../adapters/node/models/manifest.ts";
import { pullModel } from "../adapters/node/models/pull.ts";
import { concordPaths } from "../adapters/node/paths.ts";

/** Tests run the real models: pulls those that are not installed yet. */
export async function setup(): Promise<void> {
  for (const model of modelManifest) await pullModel(model, concordPaths().models, { note: console.error });
}

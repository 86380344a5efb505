import { modelManifest } from "../adapters/node/models/manifest.ts";
import { pullModel } from "../adapters/node/models/pull.ts";
import { concordPaths } from "../adapters/node/paths.ts";
import { createProgressBar } from "../adapters/node/progress-bar.ts";

/** Tests run the real models: pulls those that are not installed yet. */
export async function setup(): Promise<void> {
  const progress = createProgressBar();
  for (const model of modelManifest) {
    await pullModel(model, concordPaths().models, { progress, note: progress.note });
  }
}

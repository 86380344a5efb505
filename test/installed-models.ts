import { existsSync } from "node:fs";
import { findModel } from "../adapters/node/models/manifest.ts";
import { weightPath } from "../adapters/node/models/verify.ts";
import { concordPaths } from "../adapters/node/paths.ts";

/** The weight file of an installed model. @throws Error when it is missing; the global setup installs it */
export function weightFile(id: string): string {
  const model = findModel(id);
  const [file] = model.files;
  if (!file) throw new Error(`model ${id} has no weight file in the manifest`);
  const path = weightPath(concordPaths().models, model, file);
  if (!existsSync(path)) throw new Error(`no weight file ${path}; run: concord models pull ${id}`);
  return path;
}

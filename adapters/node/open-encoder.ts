import { encoderGraph } from "./graph-cache.ts";
import { findModel } from "./models/manifest.ts";
import { weightPath } from "./models/verify.ts";
import { createSupervisedEncoder, type SupervisedEncoder } from "../../src/ensemble/supervised-member.ts";
import { createOnnxEncoder } from "./onnx-encoder.ts";
import { superviseBy } from "./supervision.ts";
import { pull, type OpenOptions } from "./open-members.ts";
import { concordPaths } from "./paths.ts";

/**
 * Fetches a sentence encoder where it is missing, taps its graph and starts its worker, again whenever that is lost.
 * @throws RangeError when the manifest has no encoder of this name
 */
export async function openEncoder(id: string, options: OpenOptions): Promise<SupervisedEncoder> {
  const manifest = findModel(id);
  const { encoder: recipe, family, files } = manifest;
  const [graph, tokenizer] = files;
  if (recipe === undefined || graph === undefined || tokenizer === undefined) {
    throw new RangeError(`${id} is no sentence encoder in the manifest`);
  }
  await pull(manifest, options);
  const { models, graphs: directory } = concordPaths();
  const graphPath = weightPath(models, manifest, graph);
  const { progress, provider } = options;
  const encoderFiles = await encoderGraph({
    directory,
    graphPath,
    weightsHash: graph.sha256,
    label: id,
    progress,
  });
  const tokenizerPath = weightPath(models, manifest, tokenizer);
  return createSupervisedEncoder({
    ...superviseBy(options),
    id,
    start: (signal) =>
      createOnnxEncoder({ id, family, files: encoderFiles, tokenizerPath, recipe, provider, signal }),
  });
}

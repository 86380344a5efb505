import { memberGraphs } from "../adapters/node/graph-cache.ts";
import { findModel } from "../adapters/node/models/manifest.ts";
import { openFileBytes } from "../adapters/node/file-bytes.ts";
import { createOnnxMember, type OnnxMember, type OnnxMemberOptions } from "../adapters/node/onnx-member.ts";
import { concordPaths } from "../adapters/node/paths.ts";
import { createTokenizer } from "../adapters/transformers/tokenizer.ts";
import { openGguf } from "../src/weights/gguf.ts";
import { weightFile } from "./installed-models.ts";

/** Starts an installed model. */
export async function openMember(
  id: string,
  options: Pick<OnnxMemberOptions, "signal" | "startWorker" | "prefixBytes"> = {},
): Promise<OnnxMember> {
  const weightPath = weightFile(id);
  const weightsHash = findModel(id).files[0]?.sha256 ?? "";
  const source = await openFileBytes(weightPath);
  const { metadata } = await openGguf(source);
  const tokenizer = createTokenizer(metadata);
  await source.close();
  const files = await memberGraphs({ directory: concordPaths().graphs, weightPath, weightsHash, label: id });
  return createOnnxMember({ id, files, tokenizer, ...options });
}

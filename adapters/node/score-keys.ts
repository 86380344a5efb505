import { createHash } from "node:crypto";
import { join } from "node:path";
import type { SharedSpace } from "../../src/alignment/shared-space.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { concordPaths } from "./paths.ts";

/** The maps, offsets, biases, own tokens, weights and gates of a space, sha256 in hex. */
export function spaceHash({ dimension, decoderCentre, members, gates }: SharedSpace): string {
  const hash = createHash("sha256")
    .update(`${dimension}`)
    .update(decoderCentre)
    .update(JSON.stringify(gates));
  for (const { id, weight, projection, offset, factor, rowBias, own } of members) {
    hash
      .update(`${id} ${weight}`)
      .update(projection)
      .update(offset)
      .update(factor)
      .update(rowBias)
      .update(own.ids)
      .update(own.hosts);
  }
  return hash.digest("hex");
}

/** What decides scores besides what is scored, sha256 in hex: the space, the weights, and how they are made (`more`). */
export function modelsKey(ensemble: Ensemble, more: string): string {
  return membersKey(ensemble, `${spaceHash(ensemble.space)} ${more}`);
}

/** As `modelsKey`, for scores in which the space has no part. */
export function membersKey({ members }: Pick<Ensemble, "members">, more: string): string {
  const hash = createHash("sha256").update(more);
  for (const { info } of members) hash.update(info.weightsHash);
  return hash.digest("hex");
}

/** The file in which scores of one kind are kept. */
export function scoresPath(kind: string, key: string): string {
  return join(concordPaths().scores, `${kind}-${key.slice(0, 16)}.jsonl`);
}

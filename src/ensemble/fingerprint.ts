import type { ChoiceHead } from "./choice-head.ts";
import type { AnswerJudge } from "./short-answers.ts";

/*
 * Who gave a forecast: 96 bits of the sha256 of the weights, as a file keeps them. What was forecast before a calibration
 * was fitted again is still the same head's, so that it can be used for the next.
 */

const known = new WeakMap<object, Promise<string>>();

export function headFingerprint(head: ChoiceHead): Promise<string> {
  return remembered(head, () =>
    fingerprint("choice head", head.memberIds, [head.logprobWeights, ...head.stateWeights]),
  );
}

export function judgeFingerprint(judge: AnswerJudge): Promise<string> {
  // A judge is also its calibration: its weights alone are what lasts.
  return remembered(judge, () => fingerprint("answer judge", judge.memberIds, [judge.weights]));
}

function remembered(weights: object, make: () => Promise<string>): Promise<string> {
  const made = known.get(weights) ?? make();
  known.set(weights, made);
  return made;
}

async function fingerprint(
  kind: string,
  memberIds: readonly string[],
  weights: readonly (readonly number[])[],
): Promise<string> {
  const name = new TextEncoder().encode(
    JSON.stringify([kind, memberIds, weights.map(({ length }) => length)]),
  );
  const values = Float32Array.from(weights.flat());
  const bytes = new Uint8Array(name.length + values.byteLength);
  bytes.set(name);
  bytes.set(new Uint8Array(values.buffer), name.length);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.subarray(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

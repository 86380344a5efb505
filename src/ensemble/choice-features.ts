import { createMatrix, matrixFrom, type Matrix } from "../linalg/matrix.ts";
import type { ItemScores } from "./score-choices.ts";

/** What a head reads of an item: what each member says alone of its options. */
export type OptionEvidence = Pick<ItemScores, "bytes" | "alone">;

/** What is known of the options of n items, one item's after another's; in every column an item's options sum to 0. */
export interface OptionFeatures {
  /** Each member's log-probability of the option, and that over the option's bytes times the item's mean bytes (Σ c, 2m), nats. */
  readonly logprobs: Matrix;
  /** Each member's state of the option (m), (Σ c, d_m) each. */
  readonly states: readonly Matrix[];
  /** Options of each item (n). */
  readonly counts: readonly number[];
}

/** @throws Error when an item has no scores or states of one of the members */
export function optionFeatures(
  items: readonly OptionEvidence[],
  memberIds: readonly string[],
): OptionFeatures {
  const counts = items.map(({ bytes }) => bytes.length);
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const logprobs = createMatrix(rows, 2 * memberIds.length);
  const states = memberIds.map((): Float32Array[] => []);
  let first = 0;
  for (const [i, { bytes, alone: members }] of items.entries()) {
    for (const [m, id] of memberIds.entries()) {
      const alone = members.find(({ name }) => name === id);
      if (alone === undefined) throw new Error(`item ${i}: no scores of ${id}`);
      states[m]?.push(...alone.states);
      const byBytes = perByte(alone.logprobs, bytes);
      for (const [option, logprob] of alone.logprobs.entries()) {
        const at = (first + option) * logprobs.columns + 2 * m;
        logprobs.data[at] = logprob;
        logprobs.data[at + 1] = byBytes[option] ?? 0;
      }
    }
    first += bytes.length;
  }
  return {
    logprobs: centred(logprobs, counts),
    states: states.map((rowsOfMember) => centred(stacked(rowsOfMember), counts)),
    counts,
  };
}

/** ln P of each option over its bytes, times the mean bytes of all (c), nats. */
export function perByte(logprobs: readonly number[], bytes: readonly number[]): number[] {
  const meanBytes = bytes.reduce((sum, length) => sum + length, 0) / bytes.length;
  return logprobs.map((logprob, option) => (logprob * meanBytes) / (bytes[option] ?? 1));
}

function stacked(rows: readonly Float32Array[]): Matrix {
  const width = rows[0]?.length ?? 0;
  const values = new Float64Array(rows.length * width);
  for (const [i, row] of rows.entries()) values.set(row, i * width);
  return matrixFrom(rows.length, width, values);
}

/** X less the mean of its item's rows, in place. */
function centred(x: Matrix, counts: readonly number[]): Matrix {
  let first = 0;
  for (const count of counts) {
    for (let j = 0; j < x.columns; j++) {
      let sum = 0;
      for (let row = first; row < first + count; row++) sum += x.data[row * x.columns + j] ?? 0;
      for (let row = first; row < first + count; row++) {
        x.data[row * x.columns + j] = (x.data[row * x.columns + j] ?? 0) - sum / count;
      }
    }
    first += count;
  }
  return x;
}

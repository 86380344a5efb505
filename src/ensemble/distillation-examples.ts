import type { Progress } from "../ports/progress.ts";
import { softmax } from "../stats/distributions.ts";
import type { MemberRows } from "./decoder-rows.ts";
import { positionsByTurns, statesOf, type ReadPosition, type TurnsOptions } from "./positions-by-turns.ts";
import { mostLikely, type SparseDistribution } from "./sparse-distribution.ts";
import { rowsOf } from "./token-reader.ts";

/** A position of a text, and what to learn there. */
export interface DistillationExample extends ReadPosition {
  /** Each member's own word on the decoder's rows, by its own head (m). */
  readonly targets: readonly SparseDistribution[];
  /** Of each member, its rows that begin with the token that came, as it divides it among them; empty for none (m). */
  readonly came: readonly SparseDistribution[];
}

export interface ExampleOptions extends TurnsOptions {
  /** What the decoder's rows are to each member. */
  readonly tables: readonly MemberRows[];
  readonly progress: Progress;
}

/** Rows kept of each distribution: some 95 % of its mass. */
const KEPT_ROWS = 256;
/** Positions decoded at once: 17 MB of logits at a vocabulary of 262,144, and as many that are being made. */
const DECODED_AT_ONCE = 16;

/** Reads documents with all members and asks each what it expects next. */
export async function collectExamples(options: ExampleOptions): Promise<DistillationExample[]> {
  const { members, tables, most, progress } = options;
  const heads = members.map(({ head }) => head);
  const decode = (some: readonly ReadPosition[]): Promise<Float32Array[][]> =>
    Promise.all(
      heads.map(async (head, m) =>
        rowsOf(await head.decode(statesOf(some, m)), some.length, head.vocabularySize),
      ),
    );
  const ask = async (positions: readonly ReadPosition[]): Promise<DistillationExample[]> => {
    const examples: DistillationExample[] = [];
    let coming = decode(positions.slice(0, DECODED_AT_ONCE));
    for (let first = 0; first < positions.length; first += DECODED_AT_ONCE) {
      const some = positions.slice(first, first + DECODED_AT_ONCE);
      const logits = await coming;
      coming = decode(positions.slice(first + DECODED_AT_ONCE, first + 2 * DECODED_AT_ONCE));
      for (const [i, position] of some.entries()) {
        const own = tables.map((table, m) => overRows(logits[m]?.[i] ?? new Float32Array(0), table));
        examples.push({
          ...position,
          targets: own.map((probabilities) => mostLikely(probabilities, KEPT_ROWS)),
          came: own.map((probabilities, m) => beginningWith(position.token, probabilities, tables[m])),
        });
      }
    }
    return examples;
  };

  const examples: DistillationExample[] = [];
  progress.stage("asking the members what comes next", most, "tokens");
  const turns = positionsByTurns(options);
  let found: ReadPosition[] = [];
  for (;;) {
    // The next passage is read while the last one's states are decoded.
    const [more, answered] = await Promise.all([turns.next(), ask(found)]);
    examples.push(...answered);
    progress.update(examples.length);
    if (more.done) break;
    found = more.value;
  }
  progress.finish();
  return examples;
}

/** A member's distribution over its rows (R), the rest of its vocabulary left out, from the logits of its own (V_m). */
function overRows(logits: Float32Array, { tokens }: MemberRows): Float32Array {
  const probabilities = new Float32Array(tokens.length);
  for (let row = 0; row < tokens.length; row++) probabilities[row] = logits[tokens[row]!] ?? -Infinity;
  softmax(probabilities);
  return probabilities;
}

/** The rows with which a token may begin: its own, and the member's own tokens that go on after it. */
function beginningWith(
  token: number,
  probabilities: Float32Array,
  table: MemberRows | undefined,
): SparseDistribution {
  const rows: number[] = [];
  if ((table?.tokens[token] ?? -1) >= 0) rows.push(token);
  const { begins, firstRow } = table?.own ?? { begins: new Int32Array(0), firstRow: 0 };
  for (let i = lowest(begins, token); begins[i] === token; i++) rows.push(firstRow + i);
  const total = rows.reduce((sum, row) => sum + (probabilities[row] ?? 0), 0);
  const shares = rows.map((row) => (total > 0 ? (probabilities[row] ?? 0) / total : 1 / rows.length));
  return { tokens: Int32Array.from(rows), probabilities: Float32Array.from(shares) };
}

/** The first place in ascending values that is not below `value`. */
function lowest(values: Int32Array, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

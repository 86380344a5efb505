import type { Matrix } from "../linalg/matrix.ts";
import { multiply } from "../linalg/product.ts";
import { poolGate, type Gate } from "./gate.ts";
import type { JointSvd, SharedMaps } from "./joint-svd.ts";

/** Rows whose double-precision sums stay in the cache while P streams past them. */
const ROWS_AT_ONCE = 8;

/** One member's way into the shared space and its part of the way out. */
export interface SharedMember {
  readonly id: string;
  /** d. */
  readonly width: number;
  /** P (d, k), row-major: z = Pᵀh + offset. */
  readonly projection: Float32Array;
  /** −Pᵀμ (k). */
  readonly offset: Float32Array;
  /** S (d, k), row-major: what the member's decoder rows are multiplied with. */
  readonly factor: Float32Array;
  /** β (R): logits of the decoder's rows at the member's mean state; `UNREAD` where a row says nothing of the member. */
  readonly rowBias: Float32Array;
  /** w: the exponent of its distribution in the log-linear pool, and its factor in the fused state. */
  readonly weight: number;
  /** How its tokens and the anchor's are related; the anchor's is empty. */
  readonly own: OwnTokens;
}

/** A logit so low that the row has no probability. Finite, because 0 · ∞ is no number. */
export const UNREAD = -10_000;

/**
 * A follower's tokens beside the anchor's. The anchor writes " unfortunately" as " unf" and more; the follower has one token
 * for it. All that the follower expects after " unf" is the sum over its tokens that begin so, so the most used of those
 * that the anchor spells with several have rows of their own in the decoder. On the other side, the anchor may have a
 * token that the follower spells with several, and none of these begins with its text: then the first says how likely
 * it is together with everything else that begins like it.
 */
export interface OwnTokens {
  /** Ids in the follower's vocabulary (x), by `begins`. */
  readonly ids: Int32Array;
  /** The anchor's token with which each one's text begins (x), ascending. */
  readonly begins: Int32Array;
  /** The decoder's row for the first of them; the others follow. */
  readonly firstRow: number;
  /** For each of the anchor's tokens the one whose row speaks for it too; −1 where it has its own, or nothing is known (V). */
  readonly hosts: Int32Array;
}

export type TextKind = "text" | "chat";

/**
 * A fitted shared space. Member m's state h gives z_m = P_mᵀh + offset_m; the fused state is z = Σ w_m z_m; its logits over
 * the decoder's rows are E z + Σ w_m β_m, where E[r] = Σ_m S_mᵀ U_m[r] − decoderCentre. A member that abstains has w = 0.
 * The first V rows are the anchor's tokens, then come each follower's own (see `OwnTokens`).
 */
export interface SharedSpace {
  /** k. */
  readonly dimension: number;
  /** V, the anchor's vocabulary. */
  readonly vocabularySize: number;
  /** (k). It shifts all logits of a position alike; kept so that E is small in every direction. */
  readonly decoderCentre: Float32Array;
  readonly members: readonly SharedMember[];
  /** Whose word counts at a position, fitted apart for plain text and for answers in a chat: see gate.ts. */
  readonly gates: Readonly<Record<TextKind, Gate>>;
}

/** R: how many rows the decoder has. */
export function decoderRowCount({
  vocabularySize,
  members,
}: Pick<SharedSpace, "vocabularySize" | "members">): number {
  return members.reduce((sum, { own }) => sum + own.ids.length, vocabularySize);
}

/** The shared space of fitted maps, everything left to the pool. `ids`, `weights` and `weights` in the order of the fit's members. @throws RangeError when their numbers differ */
export function createSharedSpace(
  svd: JointSvd,
  maps: SharedMaps,
  ids: readonly string[],
  weights: readonly number[],
  owns: readonly OwnTokens[],
): SharedSpace {
  const count = svd.members.length;
  if (
    maps.members.length !== count ||
    ids.length !== count ||
    weights.length !== count ||
    owns.length !== count
  ) {
    throw new RangeError(
      `createSharedSpace: ${count} members, but ${maps.members.length} maps, ${ids.length} ids, ${weights.length} weights, ${owns.length} own tokens`,
    );
  }
  const members = svd.members.map(({ mean, rowBias }, m): SharedMember => {
    const { projection, factor } = maps.members[m]!;
    return {
      id: ids[m]!,
      width: projection.rows,
      projection: Float32Array.from(projection.data),
      offset: Float32Array.from(multiply(asRow(mean), projection).data, (x) => -x),
      factor: Float32Array.from(factor.data),
      rowBias,
      weight: weights[m]!,
      own: owns[m]!,
    };
  });
  const gate = poolGate(count);
  return {
    dimension: maps.dimension,
    vocabularySize: owns[0]!.hosts.length,
    decoderCentre: Float32Array.from(maps.decoderCentre),
    members,
    gates: { text: gate, chat: gate },
  };
}

/**
 * z = Pᵀh + offset for each row of `hidden` (rows, d) → (rows, k), row-major. Cost 2dk a row: about 0.5 ms at 640 × 1,024.
 * @throws RangeError when there is no such member, or `hidden` is not whole rows
 */
export function project(space: SharedSpace, member: number, hidden: Float32Array): Float32Array {
  const { width, projection, offset } = memberAt(space, member);
  const rows = wholeRows(`project: ${space.members[member]!.id}`, hidden, width);
  const k = space.dimension;
  const sums = new Float64Array(rows * k);
  for (let r = 0; r < rows; r++) sums.set(offset, r * k);
  for (let first = 0; first < rows; first += ROWS_AT_ONCE) {
    addProjected(sums, hidden, projection, first, Math.min(rows, first + ROWS_AT_ONCE), width, k);
  }
  return Float32Array.from(sums);
}

/**
 * z = Σ w_m z_m. States (m arrays of equal length, any number of rows each) → one array of that length.
 * A member of weight 0 may hold anything, NaN included.
 * @throws RangeError when the numbers of weights and states differ, or the lengths do
 */
export function fuse(weights: readonly number[], states: readonly Float32Array[]): Float32Array {
  return weightedSum("fuse", weights, states);
}

/** sums += hidden P for the rows from `first` to before `end`. Each four rows of P are read once for all of these. */
function addProjected(
  sums: Float64Array,
  hidden: Float32Array,
  projection: Float32Array,
  first: number,
  end: number,
  width: number,
  k: number,
): void {
  const whole = width - (width % 4);
  for (let i = 0; i < whole; i += 4) {
    for (let r = first; r < end; r++)
      addFourFeatures(sums, r * k, hidden, r * width + i, projection, i * k, k);
  }
  for (let i = whole; i < width; i++) {
    for (let r = first; r < end; r++) addFeature(sums, r * k, hidden[r * width + i]!, projection, i * k, k);
  }
}

function addFourFeatures(
  sums: Float64Array,
  out: number,
  hidden: Float32Array,
  at: number,
  projection: Float32Array,
  first: number,
  k: number,
): void {
  const h0 = hidden[at]!;
  const h1 = hidden[at + 1]!;
  const h2 = hidden[at + 2]!;
  const h3 = hidden[at + 3]!;
  for (let j = 0, p = first; j < k; j++, p++) {
    const low = h0 * projection[p]! + h1 * projection[p + k]!;
    const high = h2 * projection[p + 2 * k]! + h3 * projection[p + 3 * k]!;
    sums[out + j] = sums[out + j]! + (low + high);
  }
}

function addFeature(
  sums: Float64Array,
  out: number,
  h: number,
  projection: Float32Array,
  first: number,
  k: number,
): void {
  for (let j = 0; j < k; j++) sums[out + j] = sums[out + j]! + h * projection[first + j]!;
}

function weightedSum(name: string, weights: readonly number[], terms: readonly Float32Array[]): Float32Array {
  const size = terms[0]?.length ?? 0;
  if (weights.length !== terms.length || terms.some((term) => term.length !== size)) {
    throw new RangeError(
      `${name}: ${weights.length} weights do not fit arrays of (${terms.map((term) => term.length).join(", ")})`,
    );
  }
  const sums = new Float64Array(size);
  for (const [m, term] of terms.entries()) {
    const weight = weights[m]!;
    if (weight === 0) continue;
    for (let j = 0; j < size; j++) sums[j] = sums[j]! + weight * term[j]!;
  }
  return Float32Array.from(sums);
}

function memberAt(space: SharedSpace, member: number): SharedMember {
  const found = space.members[member];
  if (found === undefined) {
    throw new RangeError(`project: no member ${member}, the space has ${space.members.length}`);
  }
  return found;
}

function wholeRows(name: string, values: Float32Array, width: number): number {
  const rows = values.length / width;
  if (!Number.isInteger(rows)) {
    throw new RangeError(`${name}: ${values.length} numbers are no whole rows of width ${width}`);
  }
  return rows;
}

function asRow(x: Float64Array): Matrix {
  return { rows: 1, columns: x.length, data: x };
}

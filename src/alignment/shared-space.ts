import type { Matrix } from "../linalg/matrix.ts";
import { multiply } from "../linalg/product.ts";
import { constantGate } from "./gate.ts";
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
  /** β (V): logits of the anchor's tokens at the member's mean state. */
  readonly tokenBias: Float32Array;
  /** w: this member's share in the fused state when all members answer, in the mean over the text it was chosen on. */
  readonly weight: number;
  /** Its share at one position, by kind of text: see gate.ts. */
  readonly gates: Gates;
}

export type TextKind = "text" | "chat";

/** θ (4) of a member, fitted apart for plain text and for answers in a chat. */
export type Gates = Readonly<Record<TextKind, readonly number[]>>;

/**
 * A fitted shared space. Member m's state h gives z_m = P_mᵀh + offset_m; the fused state is z = Σ w_m z_m; its logits over
 * the anchor's tokens are E z + Σ w_m β_m, where E[t] = Σ_m S_mᵀ U_m[t] − decoderCentre. A member that abstains has w = 0.
 */
export interface SharedSpace {
  /** k. */
  readonly dimension: number;
  /** V, the anchor's vocabulary. */
  readonly vocabularySize: number;
  /** (k). It shifts all logits of a position alike; kept so that E is small in every direction. */
  readonly decoderCentre: Float32Array;
  readonly members: readonly SharedMember[];
}

/** The shared space of fitted maps. `ids` and `weights` in the order of the fit's members. @throws RangeError when their numbers differ */
export function createSharedSpace(
  svd: JointSvd,
  maps: SharedMaps,
  ids: readonly string[],
  weights: readonly number[],
): SharedSpace {
  const count = svd.members.length;
  if (maps.members.length !== count || ids.length !== count || weights.length !== count) {
    throw new RangeError(
      `createSharedSpace: ${count} members, but ${maps.members.length} maps, ${ids.length} ids, ${weights.length} weights`,
    );
  }
  const members = svd.members.map(({ mean, tokenBias }, m): SharedMember => {
    const { projection, factor } = maps.members[m]!;
    return {
      id: ids[m]!,
      width: projection.rows,
      projection: Float32Array.from(projection.data),
      offset: Float32Array.from(multiply(asRow(mean), projection).data, (x) => -x),
      factor: Float32Array.from(factor.data),
      tokenBias,
      weight: weights[m]!,
      gates: { text: constantGate(weights[m]!), chat: constantGate(weights[m]!) },
    };
  });
  return {
    dimension: maps.dimension,
    vocabularySize: svd.members[0]!.tokenBias.length,
    decoderCentre: Float32Array.from(maps.decoderCentre),
    members,
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

/** Σ w_m β_m (V): what to add to the decoded logits of a state fused with these weights. @throws RangeError as `fuse` */
export function fusedTokenBias(space: SharedSpace, weights: readonly number[]): Float32Array {
  return weightedSum(
    "fusedTokenBias",
    weights,
    space.members.map(({ tokenBias }) => tokenBias),
  );
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

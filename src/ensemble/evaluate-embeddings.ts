import { reciprocalRanks } from "../alignment/reciprocal-ranks.ts";
import { normaliseRows, projectSentences, type SentenceSpace } from "../alignment/sentence-space.ts";
import { createRandom } from "../linalg/random.ts";
import type { Progress } from "../ports/progress.ts";
import type { SentenceEncoders } from "../ports/sentence-encoders.ts";
import { pairedBootstrap } from "../stats/paired-bootstrap.ts";
import type { Interval } from "../stats/proportion.ts";
import { SHARED_PREFIX, type NativeVectors } from "./embedder.ts";
import type { TextPair } from "./embedding-pairs.ts";
import { meanVectors, ownVectors, sideBySideVectors, type UnitVectors } from "./embedding-vectors.ts";
import { ENSEMBLE_ID } from "./engine.ts";

export interface PairSet {
  readonly name: string;
  readonly pairs: readonly TextPair[];
}

export interface EvaluateEmbeddingsRequest {
  readonly encoders: SentenceEncoders;
  readonly natives: readonly NativeVectors[];
  /** The space of the depth that embeddings are taken from. */
  readonly space: SentenceSpace;
  readonly sets: readonly PairSet[];
  readonly seed: number;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** One way to make vectors. */
export interface EmbeddingRow {
  readonly name: string;
  /** Mean reciprocal rank of each set, in (0, 1]. */
  readonly sets: readonly number[];
  /** Mean over the sets. */
  readonly mean: number;
  /** Less the best member's mean; null for that member. */
  readonly versusBest: { readonly difference: number; readonly interval: Interval } | null;
}

export interface EmbeddingReport {
  readonly sets: readonly { readonly name: string; readonly pairs: number }[];
  /** The one whose own vectors have the highest mean on these very sets, which favours it. */
  readonly bestMember: string;
  readonly rows: readonly EmbeddingRow[];
}

/** Vectors of the left and of the right texts of a set's pairs. */
interface SidedVectors {
  readonly left: UnitVectors;
  readonly right: UnitVectors;
}

interface MemberVectors {
  readonly id: string;
  readonly fused: boolean;
  readonly own: SidedVectors;
  /** In the shared space; null for a member without a map. */
  readonly shared: SidedVectors | null;
}

/** Reciprocal ranks of a way's pairs, by set. */
interface Ranked {
  readonly name: string;
  readonly ranks: readonly Float64Array[];
}

/** Texts encoded between two reports of progress. */
const TEXTS_AT_ONCE = 20;
const RESAMPLES = 2000;

/**
 * How well texts find those that belong to them, by every way to make vectors: each member's own, its shared ones, the
 * members' side by side (`concord`: the encoders'), their mean in the shared space, and the left texts through one
 * member with the right texts through another. Intervals are over pairs, every set weighing the same.
 * @throws RangeError when a set has no pairs
 */
export async function evaluateEmbeddings(request: EvaluateEmbeddingsRequest): Promise<EmbeddingReport> {
  const { sets, natives, seed } = request;
  const empty = sets.find(({ pairs }) => pairs.length === 0);
  if (sets.length === 0 || empty !== undefined) {
    throw new RangeError(`evaluateEmbeddings: expected pairs, got none${empty ? ` in ${empty.name}` : ""}`);
  }
  const bySet: MemberVectors[][] = sets.map(() => []);
  for (const native of natives) {
    for (const [at, vectors] of (await memberVectors(native, request)).entries()) bySet[at]?.push(vectors);
  }
  const waysBySet = bySet.map(waysOf);
  const ranked = [...(waysBySet[0]?.keys() ?? [])].map((name): Ranked => ({
    name,
    ranks: waysBySet.map((ways) => ways.get(name) ?? new Float64Array()),
  }));
  const best = ranked
    .filter(({ name }) => natives.some(({ id }) => id === name))
    .reduce((a, b) => (meanOf(b) > meanOf(a) ? b : a));
  return {
    sets: sets.map(({ name, pairs }) => ({ name, pairs: pairs.length })),
    bestMember: best.name,
    rows: ranked.map((way): EmbeddingRow => ({
      name: way.name,
      sets: way.ranks.map(mean),
      mean: meanOf(way),
      versusBest: way === best ? null : difference(way, best, seed),
    })),
  };
}

/** A member's vectors of each set. */
async function memberVectors(
  { id, layer, standard, fused }: NativeVectors,
  { encoders, space, sets, progress, signal }: EvaluateEmbeddingsRequest,
): Promise<MemberVectors[]> {
  const map = encoders.sharedIds.includes(id)
    ? space.maps.find((candidate) => candidate.id === id)
    : undefined;
  const layers = [...new Set([layer, map?.layer ?? layer])];
  const texts = sets.flatMap(({ pairs }) => pairs.flatMap(({ left, right }) => [left, right]));
  const states = new Map<number, Float32Array[]>(layers.map((tap) => [tap, []]));
  progress.stage(`${id} reads ${texts.length} texts`, texts.length, "steps");
  for (let first = 0; first < texts.length; first += TEXTS_AT_ONCE) {
    const part = texts.slice(first, first + TEXTS_AT_ONCE);
    const encoded = await encoders.encode(id, part, { layers, signal });
    for (const [tap, rows] of encoded.layers) {
      const width = rows.length / part.length;
      for (let row = 0; row < part.length; row++) {
        states.get(tap)?.push(rows.subarray(row * width, (row + 1) * width));
      }
    }
    progress.update(first + part.length);
  }
  progress.finish();
  const own = (rows: Float32Array, dimension: number): UnitVectors => ({
    dimension,
    vectors: ownVectors(rows, dimension, standard),
  });
  let first = 0;
  return sets.map(({ pairs }): MemberVectors => {
    const end = first + 2 * pairs.length;
    const side = (tap: number, odd: 0 | 1): Float32Array =>
      stacked((states.get(tap) ?? []).slice(first, end).filter((_, at) => at % 2 === odd));
    const sided = (tap: number, made: (rows: Float32Array) => UnitVectors): SidedVectors => ({
      left: made(side(tap, 0)),
      right: made(side(tap, 1)),
    });
    const vectors = {
      id,
      fused,
      own: sided(layer, (rows) => own(rows, rows.length / pairs.length)),
      shared:
        map === undefined
          ? null
          : sided(map.layer, (rows) => ({
              dimension: space.dimension,
              vectors: normaliseRows(projectSentences(map, rows), space.dimension),
            })),
    };
    first = end;
    return vectors;
  });
}

/** Reciprocal ranks by the name of the way. */
function waysOf(members: readonly MemberVectors[]): Map<string, Float64Array> {
  const ways = new Map<string, Float64Array>();
  const add = (name: string, { left, right }: SidedVectors): void => {
    ways.set(name, reciprocalRanks(left.vectors, right.vectors, left.dimension));
  };
  const mapped = members.flatMap(({ id, fused, shared }) => (shared === null ? [] : [{ id, fused, shared }]));
  for (const { id, own } of members) add(id, own);
  for (const { id, shared } of mapped) add(SHARED_PREFIX + id, shared);
  const encoders = members.filter(({ fused }) => fused);
  const mappedEncoders = mapped.filter(({ fused }) => fused);
  const ownOf = (some: readonly MemberVectors[]) => some.map(({ own }) => own);
  const sharedOf = (some: typeof mapped) => some.map(({ shared }) => shared);
  if (encoders.length > 0) add(ENSEMBLE_ID, together(ownOf(encoders), sideBySideVectors));
  add("all members side by side", together(ownOf(members), sideBySideVectors));
  if (mappedEncoders.length > 0) {
    add("mean of the encoders in the shared space", together(sharedOf(mappedEncoders), meanVectors));
  }
  if (mapped.length > 1) {
    add("mean of all members in the shared space", together(sharedOf(mapped), meanVectors));
    ways.set("one member's texts among another's", crossed(sharedOf(mapped)));
  }
  return ways;
}

function together(all: readonly SidedVectors[], join: typeof meanVectors): SidedVectors {
  return { left: join(all.map(({ left }) => left)), right: join(all.map(({ right }) => right)) };
}

/** Left texts through one member, right ones through another: each pair's mean over all ordered pairs of members. */
function crossed(members: readonly SidedVectors[]): Float64Array {
  const all = members.flatMap((a) =>
    members
      .filter((b) => a !== b)
      .map((b) => reciprocalRanks(a.left.vectors, b.right.vectors, a.left.dimension)),
  );
  return Float64Array.from(all[0] ?? [], (_, i) => mean(all.map((ranks) => ranks[i] ?? 0)));
}

function difference(way: Ranked, best: Ranked, seed: number): EmbeddingRow["versusBest"] {
  const shares = way.ranks.flatMap(({ length }) => Array.from({ length }, () => 1 / length));
  const differences = way.ranks.flatMap((ranks, set) =>
    Array.from(ranks, (rank, i) => (rank - (best.ranks[set]?.[i] ?? 0)) / ranks.length),
  );
  const options = { random: createRandom(seed), resamples: RESAMPLES };
  return {
    difference: meanOf(way) - meanOf(best),
    interval: pairedBootstrap(differences, shares, options),
  };
}

function stacked(rows: readonly Float32Array[]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const result = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries()) result.set(row, at * width);
  return result;
}

const mean = (values: Float64Array | readonly number[]): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
};

const meanOf = ({ ranks }: Ranked): number => mean(ranks.map(mean));

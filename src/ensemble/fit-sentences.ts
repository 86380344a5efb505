import {
  fitSentenceSpace,
  projectSentences,
  retrievalAt1,
  type SentenceFitOptions,
  type SentenceSpace,
} from "../alignment/sentence-space.ts";
import type { Progress } from "../ports/progress.ts";
import type { EncodeOptions, SentenceStates } from "../ports/sentence-encoder.ts";
import type { SpaceDepth } from "../ports/sentence-encoders.ts";

/** A model whose sentence states are to be shared. */
export interface SentenceMember {
  readonly id: string;
  /** d. */
  readonly width: number;
  /** The layer at each depth. */
  readonly layers: Readonly<Record<SpaceDepth, number>>;
  encode(texts: readonly string[], options: EncodeOptions): Promise<SentenceStates>;
}

export interface SentenceFitRequest extends SentenceFitOptions {
  readonly members: readonly SentenceMember[];
  /** Maps are fitted on these. */
  readonly fit: readonly string[];
  /** Of other documents: numbers are told on these. */
  readonly report: readonly string[];
  /** A space for each. */
  readonly depths: readonly SpaceDepth[];
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** Retrieval@1 between members over all their ordered pairs, in [0, 1]. */
export interface SharedRetrieval {
  readonly mean: number;
  readonly least: number;
}

export interface FittedDepth {
  readonly name: SpaceDepth;
  readonly space: SentenceSpace;
  /** On the sentences held back; null for one member alone. */
  readonly heldOut: SharedRetrieval | null;
}

/** Texts encoded between two reports of progress. */
const TEXTS_AT_ONCE = 50;

/** Encodes the sentences with every member and fits a space for each depth. */
export async function fitSentences(request: SentenceFitRequest): Promise<FittedDepth[]> {
  const { members, fit, report, depths, progress } = request;
  const fitStates: PooledByLayer[] = [];
  const reportStates: PooledByLayer[] = [];
  for (const member of members) {
    fitStates.push(await encodeAll(member, fit, request));
    reportStates.push(await encodeAll(member, report, request));
  }
  progress.stage("fitting", depths.length, "steps");
  const fitted = depths.map((name, done): FittedDepth => {
    const blocks = members.map(({ id, width, layers }, m) => ({
      id,
      width,
      layer: layers[name],
      states: statesOf(fitStates[m], layers[name]),
    }));
    const space = fitSentenceSpace(blocks, request);
    const shared = space.maps.map((map, m) => projectSentences(map, statesOf(reportStates[m], map.layer)));
    progress.update(done + 1);
    return { name, space, heldOut: retrievalOf(shared, space.dimension) };
  });
  progress.finish();
  return fitted;
}

/** (n, d) by layer. */
type PooledByLayer = ReadonlyMap<number, Float32Array>;

async function encodeAll(
  member: SentenceMember,
  texts: readonly string[],
  { depths, progress, signal }: SentenceFitRequest,
): Promise<PooledByLayer> {
  const layers = [...new Set(depths.map((depth) => member.layers[depth]))];
  const all = new Map(layers.map((layer) => [layer, new Float32Array(texts.length * member.width)]));
  progress.stage(`${member.id} reads ${texts.length} sentences`, texts.length, "steps");
  for (let first = 0; first < texts.length; first += TEXTS_AT_ONCE) {
    const part = texts.slice(first, first + TEXTS_AT_ONCE);
    const states = await member.encode(part, { layers, signal });
    for (const [layer, rows] of all) rows.set(statesOf(states.layers, layer), first * member.width);
    progress.update(first + part.length);
  }
  progress.finish();
  return all;
}

function statesOf(states: PooledByLayer | undefined, layer: number): Float32Array {
  const rows = states?.get(layer);
  if (rows === undefined) throw new Error(`fit sentences: no states of layer ${layer}`);
  return rows;
}

function retrievalOf(shared: readonly Float32Array[], dimension: number): SharedRetrieval | null {
  const scores = shared.flatMap((a, i) => shared.slice(i + 1).map((b) => retrievalAt1(a, b, dimension)));
  if (scores.length === 0) return null;
  return { mean: scores.reduce((sum, x) => sum + x, 0) / scores.length, least: Math.min(...scores) };
}

import { fitMixtureWeights } from "../alignment/mixture-weights.ts";
import { fitPoolWeights } from "../alignment/pool-weights.ts";
import { fuse } from "../alignment/shared-space.ts";
import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { logSumExp } from "../stats/distributions.ts";
import { readPositions } from "./choose-weights.ts";
import type { CorpusDocument, Passage } from "./corpus.ts";
import { normaliseAnchor, normaliseFollower } from "./follower-distribution.ts";
import { partialBias } from "./partial-bias.ts";
import { weightsOfPresent } from "./predictor.ts";
import { createStateReading, type MemberState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";
import { allTokens, mapToAnchor, mapVocabulary } from "./vocabulary-map.ts";

/*
 * What fusing costs and brings without a shared space: both ways of fusing, with the members' own heads over the anchor's
 * vocabulary. Special tokens are the anchor's word here too, see follower-distribution.ts.
 */

/** Chosen on documents that are not reported on. */
export interface ExactWeights {
  /** w (m) of p ∝ Π p_m^w_m. */
  readonly pool: readonly number[];
  /** w (m) of p = Σ w_m p_m. */
  readonly mean: readonly number[];
  /** Added to the logits of tokens for which a member has only the beginning (m), see `partialBias`. */
  readonly partialBias: readonly number[];
}

/** ln p of a token that came, nats. */
export interface ExactScore {
  readonly pool: number;
  readonly mean: number;
}

export interface ExactBaselines {
  /** At each of the passage's scored tokens in turn. */
  score(passage: Passage): AsyncIterable<ExactScore>;
}

type Members = readonly [LanguageModel, ...LanguageModel[]];

/** How a member's own vocabulary speaks about the anchor's. */
interface VocabularyLink {
  /** Own token for each of the anchor's tokens, or for its beginning (V); -1 for none. Null for the anchor itself. */
  readonly tokens: Int32Array | null;
  /** 1 where it is only the beginning (V). */
  readonly partial: Uint8Array;
  /** By the anchor's token: all own tokens whose text the anchor would begin with it. */
  readonly beginning: ReadonlyMap<number, readonly number[]>;
}

/** All that is needed of one position. */
interface ExactPosition {
  readonly token: number;
  /** Each present member's logits over the anchor's tokens (m arrays of V); null where it abstains. */
  readonly logits: readonly (Float32Array | null)[];
  /** p_m(token), exact marginals (m); null where it abstains. */
  readonly probabilities: readonly (number | null)[];
}

/** Their own heads are slow, and their logits are held: 240 MB each at V = 49,152. */
const MOST_POSITIONS = 1200;
/** Positions decoded at once: a row of a large vocabulary is 1 MB. */
const DECODED_AT_ONCE = 8;

export interface ExactOptions {
  readonly members: Members;
  readonly clock: Clock;
  readonly progress: Progress;
}

/** Weights of both baselines, chosen on `documents`, on the positions that `readPositions` samples. */
export async function chooseExactWeights(
  options: ExactOptions & { readonly documents: readonly CorpusDocument[] },
): Promise<ExactWeights> {
  const { members, progress } = options;
  const links = linkVocabularies(members);
  const sampled = await readPositions({ ...options, most: MOST_POSITIONS });
  progress.stage("choosing the baselines' weights", sampled.length, "steps");
  const positions: ExactPosition[] = [];
  for (let first = 0; first < sampled.length; first += DECODED_AT_ONCE) {
    const some = sampled.slice(first, first + DECODED_AT_ONCE);
    const tokens = some.map(({ token }) => token);
    const states = some.map((position) => position.states);
    positions.push(...(await decodeOwn(members, links, states, tokens)));
    progress.update(first + some.length);
  }
  const tokens = positions.map(({ token }) => token);
  const logits = members.map((_, m) => positions.flatMap((position) => position.logits[m] ?? []));
  const biases = links.map(({ partial }, m) => biasOfPartialRows(logits[m] ?? [], tokens, partial));
  for (const [m, rows] of logits.entries()) {
    for (const row of rows) addPartialBias(row, links[m], biases[m]);
  }
  const special = [...members[0].tokenizer.specialTokens];
  for (let i = 0; i < positions.length; i++) normalisePosition(logits, i, special);
  const pool = await fitPoolWeights(members.length, () =>
    tokens.map((token, i) => ({ token, logits: logits.map((rows) => rows[i] ?? new Float32Array(0)) })),
  );
  const mean = fitMixtureWeights(positions.map(({ probabilities }) => probabilities.map((p) => p ?? 0)));
  progress.finish();
  return { pool: pool.weights, mean: mean.weights[0] ?? [], partialBias: biases };
}

/** What to add to the logits of tokens whose rows are partial, see `partialBias`. Rows (n arrays of V logits). */
function biasOfPartialRows(
  rows: readonly Float32Array[],
  tokens: readonly number[],
  partial: Uint8Array,
): number {
  if (!partial.includes(1)) return 0;
  const masked = (row: Float32Array, keep: number): Float32Array =>
    row.map((logit, token) => (partial[token] === keep ? logit : -Infinity));
  const logOdds = rows.map((row) => logSumExp(masked(row, 1)) - logSumExp(masked(row, 0)));
  return partialBias(logOdds, tokens.filter((token) => partial[token] === 1).length);
}

/** The members' logits at one position, `logits[m][position]`, to log-probabilities, in place. */
function normalisePosition(
  logits: readonly Float32Array[][],
  position: number,
  special: readonly number[],
): void {
  const [anchor, ...followers] = logits.map((rows) => rows[position]);
  if (anchor === undefined) throw new Error("the anchor has no logits here");
  const ends = normaliseAnchor(anchor, special);
  for (const row of followers) if (row) normaliseFollower(row, special, ends);
}

export function createExactBaselines(
  { members, clock }: Pick<ExactOptions, "members" | "clock">,
  weights: ExactWeights,
): ExactBaselines {
  const links = linkVocabularies(members);
  const special = [...members[0].tokenizer.specialTokens];
  return {
    async *score(passage) {
      const reading = createStateReading(members, passage, clock);
      try {
        const { scored } = reading.prompt;
        const states = await reading.positions();
        for (let first = 0; first < states.length; first += DECODED_AT_ONCE) {
          const some = states.slice(first, first + DECODED_AT_ONCE);
          const tokens = Array.from(scored.subarray(first, first + some.length));
          for (const position of await decodeOwn(members, links, some, tokens)) {
            yield { pool: poolOf(position, links, weights, special), mean: meanOf(position, weights.mean) };
          }
        }
      } finally {
        reading.close();
      }
    },
  };
}

function poolOf(
  { logits, token }: ExactPosition,
  links: readonly VocabularyLink[],
  weights: ExactWeights,
  special: readonly number[],
): number {
  logits.forEach((row, m) => row && addPartialBias(row, links[m], weights.partialBias[m]));
  const [anchor, ...followers] = logits;
  if (!anchor) throw new Error("exact baselines: the anchor has no state");
  const ends = normaliseAnchor(anchor, special);
  for (const row of followers) if (row) normaliseFollower(row, special, ends);
  const present = logits.map((row) => row !== null);
  const fused = fuse(
    weightsOfPresent(weights.pool, present),
    logits.map((row) => row ?? anchor),
  );
  normaliseFollower(fused, special, ends);
  return fused[token] ?? -Infinity;
}

function meanOf({ probabilities }: ExactPosition, weights: readonly number[]): number {
  const kept = weightsOfPresent(
    weights,
    probabilities.map((p) => p !== null),
  );
  return Math.log(probabilities.reduce<number>((sum, p, m) => sum + (kept[m] ?? 0) * (p ?? 0), 0));
}

/** Each member's own head at some positions, read as a head over the anchor's vocabulary. */
async function decodeOwn(
  members: Members,
  links: readonly VocabularyLink[],
  positions: readonly (readonly MemberState[])[],
  tokens: readonly number[],
): Promise<ExactPosition[]> {
  const anchorSize = members[0].tokenizer.vocabularySize;
  const special = members[0].tokenizer.specialTokens;
  const own = await Promise.all(members.map((member, m) => decodeRows(member, positions, m)));
  return Array.from(positions.keys(), (i): ExactPosition => {
    const token = tokens[i] ?? 0;
    const anchor = softmaxOf(own[0]?.[i] ?? new Float32Array(anchorSize), new Set());
    const ordinary = 1 - [...special].reduce((sum, v) => sum + (anchor[v] ?? 0), 0);
    const probabilities = members.map((member, m) => {
      const row = own[m]?.[i];
      if (!row) return null;
      if (m === 0 || special.has(token)) return anchor[token] ?? 0;
      const p = softmaxOf(row, member.tokenizer.specialTokens);
      const same = links[m]?.beginning.get(token) ?? [];
      return ordinary * same.reduce((sum, v) => sum + (p[v] ?? 0), 0);
    });
    const logits = members.map((_, m) => {
      const row = own[m]?.[i];
      return row ? overAnchor(row, links[m]?.tokens ?? null) : null;
    });
    return { token, logits, probabilities };
  });
}

/** Own logits at each position; null where the member abstains. */
async function decodeRows(
  member: LanguageModel,
  positions: readonly (readonly MemberState[])[],
  m: number,
): Promise<(Float32Array | null)[]> {
  const { width } = member.info;
  const own = positions.map((states) => states[m]);
  const present = own.flatMap((state) => (state && "state" in state ? [state.state] : []));
  if (present.length === 0) return own.map(() => null);
  const stacked = new Float32Array(present.length * width);
  for (const [i, state] of present.entries()) stacked.set(state, i * width);
  const logits = await member.head.decode(stacked);
  const rows = rowsOf(logits, present.length, member.head.vocabularySize).values();
  return own.map((state) => (state && "state" in state ? (rows.next().value ?? null) : null));
}

/** Probabilities (V), those of `without` being 0. */
function softmaxOf(logits: Float32Array, without: ReadonlySet<number>): Float32Array {
  const kept = logits.slice();
  for (const token of without) kept[token] = -Infinity;
  const total = logSumExp(kept);
  return kept.map((logit) => Math.exp(logit - total));
}

/** Own logits by the anchor's tokens; a token that the member has nothing for gets its least likely one's. */
function overAnchor(own: Float32Array, tokens: Int32Array | null): Float32Array {
  if (tokens === null) return own.slice();
  const least = own.reduce((a, b) => Math.min(a, b), Infinity);
  return Float32Array.from(tokens, (token) => (token < 0 ? least : (own[token] ?? least)));
}

function addPartialBias(row: Float32Array, link: VocabularyLink | undefined, bias = 0): void {
  for (const [token, partial] of link?.partial.entries() ?? []) if (partial) row[token]! += bias;
}

function linkVocabularies(members: Members): VocabularyLink[] {
  const anchor = members[0].tokenizer;
  return members.map(({ tokenizer }, m): VocabularyLink => {
    if (m === 0)
      return { tokens: null, partial: new Uint8Array(anchor.vocabularySize), beginning: new Map() };
    const { tokens, exact } = mapVocabulary(anchor, tokenizer);
    const partial = exact.map((is, token) => (is === 0 && (tokens[token] ?? -1) >= 0 ? 1 : 0));
    const beginning = new Map<number, number[]>();
    for (const [own, token] of mapToAnchor(tokenizer, anchor, allTokens(tokenizer)).entries()) {
      const same = beginning.get(token);
      if (same) same.push(own);
      else beginning.set(token, [own]);
    }
    return { tokens, partial, beginning };
  });
}

import { fuse, project } from "../alignment/shared-space.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { logSumExp } from "../stats/distributions.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import type { Ensemble } from "./ensemble.ts";
import { logMeanProbability } from "./mean-probability.ts";
import { tokenizeOptions, type ChoiceItem, type OptionTokens } from "./option-tokens.ts";
import { createPredictor, type Predictor } from "./predictor.ts";
import { createPrefixReader, prefixStates, type PrefixReader } from "./prefix-reader.ts";
import { MEAN_OF_PROBABILITIES, throughSharedSpace } from "./row-names.ts";
import { unfinishedToken, type MemberState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";

/** How likely one way of predicting holds each choice of an item. */
export interface OptionScores {
  /** A member's id, `concord`, or a baseline: see row-names.ts. */
  readonly name: string;
  /** Tokens predicted of each choice (c). */
  readonly tokens: readonly number[];
  /** Σ log p of those tokens, nats (c). */
  readonly logprobs: readonly number[];
}

export interface ItemScores {
  /** UTF-8 bytes of each choice, the context not counted (c). */
  readonly bytes: readonly number[];
  /** Members alone, members through the shared space, mean of probabilities, concord. */
  readonly rows: readonly OptionScores[];
}

/** Shared states after an item's choices, to learn decisions from. */
export interface OptionState {
  /** z (k). */
  readonly fused: Float32Array;
  /** Each member's z (k). */
  readonly members: readonly Float32Array[];
}

/** Scores one item after another. Calls must not overlap. */
export interface ChoiceScorer {
  /** @throws GatewayError context_length_exceeded when a choice with its context is too long for a member */
  score(item: ChoiceItem, signal?: AbortSignal): Promise<ItemScores>;
  /** States after the last token of each choice (c). */
  states(item: ChoiceItem, signal?: AbortSignal): Promise<OptionState[]>;
  close(): void;
}

/** Positions decoded at once: bounds the logits held to about 10 MB. */
const DECODED_AT_ONCE = 8;

/**
 * Every member reads an item's context once, and for each choice goes back to its end, or further where tokens ask for it.
 * Cost an item: each member's body over the context and the choices, its head at every position, and the shared decoder
 * for the fused and each member's state there.
 */
export function createChoiceScorer(ensemble: Ensemble): ChoiceScorer {
  const { members, space } = ensemble;
  const predictor = createPredictor(ensemble);
  const readers = members.map((member) => {
    const sequence = member.openSequence();
    return { member, sequence, reader: createPrefixReader(member, sequence) };
  });

  return {
    async score(item, signal) {
      const anchorTokens = tokenizeOptions(members[0].tokenizer, item);
      const read = await Promise.all(
        readers.map(({ member, reader }, m) =>
          readOptions(member, reader, item, m === 0 ? null : anchorTokens, signal),
        ),
      );
      const own = await Promise.all([
        ...members.map((member, m) => scoreAlone(member, read[m], signal)),
        scoreTogether(ensemble, predictor, anchorTokens, read, signal),
      ]);
      const encoder = new TextEncoder();
      return { bytes: item.choices.map((choice) => encoder.encode(choice).length), rows: own.flat() };
    },
    async states(item, signal) {
      const weights = space.members.map(({ weight }) => weight);
      const found: OptionState[] = [];
      for (const choice of item.choices) {
        const zs = await Promise.all(
          readers.map(async ({ member, reader }, m) => {
            const { ids } = member.tokenizer.encode(item.context + choice);
            const states = await reader.read(ids, signal);
            return project(space, m, states.at(-1) ?? new Float32Array(member.info.width));
          }),
        );
        found.push({ fused: fuse(weights, zs), members: zs });
      }
      return found;
    },
    close() {
      for (const { sequence } of readers) sequence.close();
    },
  };
}

/** What one member read of an item. */
interface ReadOptions {
  /** In its own tokens. */
  readonly tokens: OptionTokens;
  /** Its state before each position of its own tokens. */
  readonly own: readonly Float32Array[];
  /** Its state before each position of the anchor's tokens. */
  readonly shared: readonly MemberState[];
}

const NO_STATE: MemberState = { reason: "the anchor's tokens end inside a character here" };

/** @param followed the anchor's tokens; null for the anchor, whose states are those of its own */
async function readOptions(
  { tokenizer }: LanguageModel,
  reader: PrefixReader,
  item: ChoiceItem,
  followed: OptionTokens | null,
  signal?: AbortSignal,
): Promise<ReadOptions> {
  const tokens = tokenizeOptions(tokenizer, item);
  const own: Float32Array[] = tokens.positions.map(() => new Float32Array(0));
  const shared: MemberState[] = (followed ?? tokens).positions.map(() => NO_STATE);
  for (const [option, text] of tokens.texts.entries()) {
    const states = await reader.read(tokens.ids[option] ?? new Int32Array(0), signal);
    for (const { at, index } of positionsOf(tokens, option)) own[at] = states[index] ?? new Float32Array(0);
    if (followed === null) continue;
    const wanted = positionsOf(followed, option);
    const offsets = wanted.map(({ index }) => followed.ends[option]?.[index - 1] ?? 0);
    const found = await prefixStates(reader, tokenizer, text, offsets, signal);
    const ids = Array.from(followed.ids[option] ?? []);
    const ends = [0, ...(followed.ends[option] ?? [])];
    for (const [i, { at, index }] of wanted.entries()) {
      const here = found[i];
      if (here) shared[at] = { state: here.state, unfinished: unfinishedToken(here, ids, ends, index) };
    }
  }
  return {
    tokens,
    own,
    shared: followed === null ? own.map((state) => ({ state, unfinished: null })) : shared,
  };
}

/** The positions that are read within one option's text, and their places among all. */
function positionsOf({ positions }: OptionTokens, wanted: number): { at: number; index: number }[] {
  return positions.flatMap(({ option, index }, at) => (option === wanted ? [{ at, index }] : []));
}

/** A member with its own head over its own vocabulary. */
async function scoreAlone(
  { info, head }: LanguageModel,
  read: ReadOptions | undefined,
  signal?: AbortSignal,
): Promise<OptionScores[]> {
  if (read === undefined) return [];
  const sums = createSums(read.tokens);
  for (const { positions, first } of inParts(read.tokens)) {
    const states = read.own.slice(first, first + positions.length);
    const stacked = new Float32Array(states.length * info.width);
    for (const [i, state] of states.entries()) stacked.set(state, i * info.width);
    const rows = rowsOf(await head.decode(stacked, signal), states.length, head.vocabularySize);
    for (const [i, { next }] of positions.entries()) {
      const logits = rows[i] ?? new Float32Array(0);
      const partition = logSumExp(logits);
      for (const { option, token } of next) sums.add(option, (logits[token] ?? -Infinity) - partition);
    }
  }
  return [sums.scores(info.id)];
}

/** Everything that is read through the shared space, in the anchor's tokens. */
async function scoreTogether(
  { members }: Ensemble,
  predictor: Predictor,
  tokens: OptionTokens,
  read: readonly ReadOptions[],
  signal?: AbortSignal,
): Promise<OptionScores[]> {
  const through = members.map(() => createSums(tokens));
  const mean = createSums(tokens);
  const fused = createSums(tokens);
  for (const { positions, first } of inParts(tokens)) {
    const states = positions.map((_, i) => read.map(({ shared }) => shared[first + i] ?? NO_STATE));
    const predictions = await predictor.predict(states, signal);
    for (const [i, prediction] of predictions.entries()) {
      for (const { option, token } of positions[i]?.next ?? []) {
        // Where a member abstains, the mean of the others stands for it.
        const others = logMeanProbability(prediction, token);
        for (const [m, sums] of through.entries())
          sums.add(option, prediction.members[m]?.logprobs?.[token] ?? others);
        mean.add(option, others);
        fused.add(option, prediction.logprobs[token] ?? -Infinity);
      }
    }
  }
  return [
    ...members.map(({ info }, m) => (through[m] ?? mean).scores(throughSharedSpace(info.id))),
    mean.scores(MEAN_OF_PROBABILITIES),
    fused.scores(ENSEMBLE_ID),
  ];
}

function* inParts({
  positions,
}: OptionTokens): Generator<{ positions: OptionTokens["positions"]; first: number }> {
  for (let first = 0; first < positions.length; first += DECODED_AT_ONCE) {
    yield { positions: positions.slice(first, first + DECODED_AT_ONCE), first };
  }
}

function createSums({ ids, given }: OptionTokens) {
  const logprobs = ids.map(() => 0);
  return {
    add(option: number, logprob: number): void {
      logprobs[option] = (logprobs[option] ?? 0) + logprob;
    },
    scores: (name: string): OptionScores => ({
      name,
      tokens: ids.map((option) => option.length - given),
      logprobs,
    }),
  };
}

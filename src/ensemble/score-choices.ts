import type { LanguageModel } from "../ports/language-model.ts";
import { logSumExp } from "../stats/distributions.ts";
import type { Ensemble } from "./ensemble.ts";
import { logMeanProbability } from "./baselines.ts";
import { tokenizeOptions, type ChoiceQuestion, type OptionTokens } from "./option-tokens.ts";
import { createPredictor, type Predictor } from "./predictor.ts";
import { createPrefixReader, prefixStates, type PrefixReader } from "./prefix-reader.ts";
import { BY_LOG_PROBABILITY, MEAN_OF_PROBABILITIES, throughSharedSpace } from "./row-names.ts";
import { unfinishedToken, type MemberState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";

/** How likely one way of predicting holds each choice of an item. */
export interface OptionScores {
  /** See row-names.ts. */
  readonly name: string;
  /** Tokens predicted of each choice (c). */
  readonly tokens: readonly number[];
  /** Σ log p of those tokens, nats (c). */
  readonly logprobs: readonly number[];
}

/** What a member by itself makes of an item's choices. Its name is the member's id. */
export interface MemberScores extends OptionScores {
  /**
   * What a choice is to it: its residual stream at half its depth, the mean over the choice's predicted tokens, itself
   * among what is read (c), (d) each.
   */
  readonly states: readonly Float32Array[];
}

export interface ItemScores {
  /** UTF-8 bytes of each choice, the context not counted (c). */
  readonly bytes: readonly number[];
  /** Each member alone, with its own head; the anchor first. */
  readonly alone: readonly MemberScores[];
  /** Members through the shared space, mean of probabilities, the fused answer; none where they were not asked for. */
  readonly together: readonly OptionScores[];
}

/** Which scores to make; at least one. */
export interface WantedScores {
  readonly alone: boolean;
  readonly together: boolean;
}

/** Scores one item after another. Calls must not overlap. */
export interface ChoiceScorer {
  /**
   * What is not wanted is empty, and costs nothing.
   * @throws GatewayError context_length_exceeded when a choice with its context is too long for a member
   */
  score(item: ChoiceQuestion, wanted: WantedScores, signal?: AbortSignal): Promise<ItemScores>;
  close(): void;
}

/** Positions decoded at once: bounds the logits held to about 10 MB. */
const DECODED_AT_ONCE = 8;

/**
 * Every member reads an item's context once, and for each choice goes back to its end, or further where tokens ask for it.
 * Cost an item: each member's body over the context and the choices; for what they say alone, their heads at every
 * position; for what they say together, the shared decoder for the fused and each member's state there.
 */
export function createChoiceScorer(ensemble: Ensemble): ChoiceScorer {
  const { members } = ensemble;
  const predictors = { text: createPredictor(ensemble, "text"), chat: createPredictor(ensemble, "chat") };
  const readers = members.map((member) => {
    const sequence = member.openSequence();
    const middle = Math.round(member.info.layers / 2);
    return { member, sequence, reader: createPrefixReader(member, sequence, middle) };
  });

  return {
    async score(item, wanted, signal) {
      const anchorTokens = tokenizeOptions(members[0].tokenizer, item);
      const read = await Promise.all(
        readers.map(({ member, reader }, m) =>
          readOptions(member, reader, item, {
            followed: m > 0 && wanted.together ? anchorTokens : null,
            signal,
          }),
        ),
      );
      const [alone, together] = await Promise.all([
        wanted.alone
          ? Promise.all(
              readers.flatMap(({ member }, m) => {
                const own = read[m];
                return own === undefined ? [] : [scoreAlone(member, own, signal)];
              }),
            )
          : [],
        wanted.together
          ? scoreTogether(
              ensemble,
              typeof item.context === "string" ? predictors.text : predictors.chat,
              anchorTokens,
              read,
              signal,
            )
          : [],
      ]);
      const encoder = new TextEncoder();
      return { bytes: item.choices.map((choice) => encoder.encode(choice).length), alone, together };
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
  /** Its state before each position of the anchor's tokens; of its own where nothing is followed. */
  readonly shared: readonly MemberState[];
  /** Of each choice: see `MemberScores`. */
  readonly choices: readonly Float32Array[];
}

interface ReadingOptions {
  /** The anchor's tokens, for a member that is to follow them. */
  readonly followed: OptionTokens | null;
  readonly signal: AbortSignal | undefined;
}

const NO_STATE: MemberState = { reason: "the anchor's tokens end inside a character here" };

async function readOptions(
  { tokenizer, info }: LanguageModel,
  reader: PrefixReader,
  item: ChoiceQuestion,
  { followed, signal }: ReadingOptions,
): Promise<ReadOptions> {
  const tokens = tokenizeOptions(tokenizer, item);
  const own: Float32Array[] = tokens.positions.map(() => new Float32Array(0));
  const shared: MemberState[] = (followed ?? tokens).positions.map(() => NO_STATE);
  const choices: Float32Array[] = [];
  for (const [option, text] of tokens.texts.entries()) {
    const states = await reader.read(tokens.ids[option] ?? new Int32Array(0), signal);
    // The first is the state after the document start.
    choices.push(meanOf(reader.tapped.slice(tokens.given + 1), info.width));
    for (const { at, index } of positionsOf(tokens, option)) own[at] = states[index] ?? new Float32Array(0);
    if (followed === null) continue;
    // A chat's turns have other bytes in the anchor's form: places are counted from the end of the context.
    const ahead = tokens.contextBytes - followed.contextBytes;
    const placed = positionsOf(followed, option).map(({ at, index }) => ({
      at,
      index,
      end: followed.ends[option]?.[index - 1] ?? 0,
    }));
    const wanted = placed.filter(({ end }) => ahead === 0 || end >= followed.contextBytes);
    const offsets = wanted.map(({ end }) => end + ahead);
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
    choices,
  };
}

/** Zero without rows. */
function meanOf(rows: readonly Float32Array[], width: number): Float32Array {
  const sums = new Float64Array(width);
  for (const row of rows) for (const [j, x] of row.entries()) sums[j] = (sums[j] ?? 0) + x;
  return Float32Array.from(sums, (sum) => (rows.length === 0 ? 0 : sum / rows.length));
}

/** The positions that are read within one option's text, and their places among all. */
function positionsOf({ positions }: OptionTokens, wanted: number): { at: number; index: number }[] {
  return positions.flatMap(({ option, index }, at) => (option === wanted ? [{ at, index }] : []));
}

/** A member with its own head over its own vocabulary. */
async function scoreAlone(
  { info, head }: LanguageModel,
  read: ReadOptions,
  signal?: AbortSignal,
): Promise<MemberScores> {
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
  return { ...sums.scores(info.id), states: read.choices };
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
    fused.scores(BY_LOG_PROBABILITY),
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

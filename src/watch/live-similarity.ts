import { fitStandardisation, standardise, type Standardisation } from "../alignment/cka.ts";
import { hollowGram, unbiasedHsic, type HollowGram } from "../alignment/hsic.ts";
import { createMinibatchCka, type MinibatchCka } from "../alignment/minibatch-cka.ts";
import { matrixFrom, type Matrix } from "../linalg/matrix.ts";
import type { Passage } from "../ensemble/corpus.ts";
import { passageText } from "../ensemble/corpus.ts";
import {
  concatenated,
  readPassage,
  sharedWordEnds,
  tappedLayers,
  type PassageReading,
} from "../ensemble/passage-states.ts";
import { rowsOf } from "../ensemble/token-reader.ts";
import type { Timers } from "../ports/clock.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { LayerSimilarity } from "../ports/observations.ts";
import type { QuietTime } from "./quiet-time.ts";

export interface LiveSimilarityOptions {
  /** Two or more. */
  readonly members: readonly LanguageModel[];
  readonly quiet: QuietTime;
  readonly timers: Timers;
  /** In [0, 1): which answer of each block is read. */
  readonly random: () => number;
  /** Of so many answers one is read. */
  readonly every: number;
  readonly places: PlaceSampling;
  readonly windowMs: number;
  /** What an earlier one learned; null for nothing. */
  readonly scales: LayerScales | null;
  /** One minibatch's: mean over pairs of members of the CKA of their last layers. */
  readonly onBatch: (similarity: number) => void;
  /** The window's so far, after each minibatch. */
  readonly onWindow: (similarities: readonly LayerSimilarity[]) => void;
  readonly onScales: (scales: LayerScales) => void;
  /** A text that could not be read, for a reason that is the gateway's own. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Places of one text are alike, and HSIC is without bias only where the rows of a batch are independent draws: in running
 * text CKA comes out at .90 where it is .76 over all places. So a text gives few places, and batches are dealt from many texts.
 */
export interface PlaceSampling {
  /** The most that a text gives, drawn at random. */
  readonly perText: number;
  /** n: places of a minibatch, 4 or more. */
  readonly batch: number;
  /** Minibatches that are gathered, mixed and dealt at a time. */
  readonly batches: number;
}

/** Mean and deviation of the features of each member's tapped layers: m members, each its layers. */
export type LayerScales = readonly (readonly Standardisation[])[];

export interface LiveSimilarity {
  /** An answered text. It is kept in memory until it is read, and nowhere else. */
  offer(passage: Passage): void;
  /** Ends what is being read, and forgets the texts. */
  close(): Promise<void>;
}

/** Longer texts are cut, and longer conversations before an answer passed over, so that no reading is long. */
const MOST_CHARACTERS = 2000;
const TOKENS_PER_TEXT = 128;
/** Who comes while a text is read waits for so many tokens at most: 0.1 s of a slow core. */
const TOKENS_AT_ONCE = 16;
/** Texts that wait to be read. */
const MOST_WAITING = 4;
/** A text that is interrupted more often is dropped. */
const MOST_INTERRUPTIONS = 3;
/**
 * How alike the members' layers are on what is really asked: debiased linear CKA of standardised residual streams, every
 * tapped layer with every other, at places where a word ends for all members, in minibatches (see `createMinibatchCka`), by
 * windows of time. One answered text in `every` is read again by one member after the other when nobody waits for anything,
 * a few tokens at a time, and put off as soon as somebody does: a gateway that is never idle measures nothing.
 * The features' scales are those of the places gathered first, which are not compared, and stay: windows can then be compared
 * with each other. A batch belongs to the window in which it was full.
 */
export function createLiveSimilarity(options: LiveSimilarityOptions): LiveSimilarity {
  const { members, quiet, timers, random, every, windowMs, onFailure } = options;
  const { perText, batch, batches } = options.places;
  const layers = members.map(({ info }) => tappedLayers(info));
  const openedAt = timers.now();
  const closing = new AbortController();
  const waiting: WaitingText[] = [];
  let working: Promise<void> | null = null;
  let { scales } = options;
  let seen = 0;
  let chosen = Math.floor(every * random());
  /** (member, layer, place). */
  const places = layers.map((own) => own.map((): Float32Array[] => []));
  let window: SimilarityWindow | null = null;

  async function work(): Promise<void> {
    try {
      for (let text = waiting[0]; text !== undefined; text = waiting[0]) await take(text);
    } catch (error) {
      if (!closing.signal.aborted) onFailure(error);
    } finally {
      working = null;
    }
  }

  async function take(text: WaitingText): Promise<void> {
    const signal = await quiet.next(closing.signal);
    try {
      await read(text, AbortSignal.any([signal, closing.signal]));
      keep(text);
    } catch (error) {
      if (closing.signal.aborted) throw error;
      if (signal.aborted && ++text.interruptions <= MOST_INTERRUPTIONS) return;
      if (!(error instanceof GatewayError) || error.code === "internal") onFailure(error);
    }
    waiting.shift();
    await compareWhole();
  }

  /** One member after the other; what was read before an interruption stays. */
  async function read({ passage, readings }: WaitingText, signal: AbortSignal): Promise<void> {
    for (const [m, member] of members.entries()) {
      if (m < readings.length) continue;
      const taps = layers[m] ?? [];
      readings.push(
        await readPassage(member, passage, { taps, most: TOKENS_PER_TEXT, atOnce: TOKENS_AT_ONCE, signal }),
      );
    }
  }

  function keep({ passage, readings }: WaitingText): void {
    const encodings = readings.map(({ encoding }) => encoding);
    const found = sharedWordEnds(passageText(passage), encodings);
    for (const tokens of drawn(found, perText, random)) {
      for (const [m, token] of tokens.entries()) {
        const { rows = 0, taps } = readings[m]?.states ?? {};
        for (const [i, layer] of (layers[m] ?? []).entries()) {
          const values = taps?.get(layer) ?? new Float32Array(0);
          const row = rowsOf(values, rows, values.length / rows)[token];
          if (row) places[m]?.[i]?.push(row.slice());
        }
      }
    }
  }

  async function compareWhole(): Promise<void> {
    for (;;) {
      const needed = batch * batches;
      if ((places[0]?.[0]?.length ?? 0) < needed) return;
      const rows = places.map((own) => own.map((at) => at.splice(0, needed)));
      const fitted = scales;
      if (fitted === null) {
        scales = await ofEachLayer(rows, fitStandardisation);
        options.onScales(scales);
        continue;
      }
      const order = drawn(
        Array.from({ length: needed }, (_, place) => place),
        needed,
        random,
      );
      for (let first = 0; first < needed; first += batch) {
        const dealt = order.slice(first, first + batch);
        const ofBatch = rows.map((own) => own.map((at) => dealt.flatMap((place) => at[place] ?? [])));
        const grams = await ofEachLayer(ofBatch, (x, m, i) => {
          const scale = fitted[m]?.[i];
          if (scale === undefined)
            throw new Error(`layer similarity: no scale for layer ${i} of member ${m}`);
          return hollowGram(standardise(x, scale));
        });
        if (closing.signal.aborted) return;
        tell(grams);
      }
    }
  }

  /** A millisecond or two each, and between two of them goes whoever came in meanwhile. */
  async function ofEachLayer<T>(
    rows: readonly (readonly Float32Array[][])[],
    compute: (x: Matrix, member: number, layer: number) => T,
  ): Promise<T[][]> {
    const results: T[][] = rows.map(() => []);
    for (const [m, own] of rows.entries()) {
      for (const [i, at] of own.entries()) {
        results[m]?.push(compute(matrixFrom(at.length, at[0]?.length ?? 0, concatenated(at)), m, i));
        await new Promise<void>((resolve) => {
          timers.after(0, resolve);
        });
      }
    }
    return results;
  }

  function tell(grams: readonly (readonly HollowGram[])[]): void {
    const now = timers.now();
    if (window === null || now >= window.end) {
      const start = Math.floor(now / windowMs) * windowMs;
      window = openWindow(Math.max(start, openedAt), start + windowMs, layers);
    }
    const last: number[] = [];
    for (const { a, b, cka } of window.pairs) {
      const [xs, ys] = [grams[a] ?? [], grams[b] ?? []];
      cka.add(xs, ys);
      const [x, y] = [xs.at(-1), ys.at(-1)];
      if (x && y) last.push(unbiasedHsic(x, y) / Math.sqrt(x.self * y.self));
    }
    window.positions += batch;
    options.onBatch(last.reduce((sum, value) => sum + value, 0) / last.length);
    options.onWindow(similaritiesOf(window, members, layers));
  }

  return {
    offer(passage) {
      const taken = seen === chosen;
      if (++seen === every) {
        seen = 0;
        chosen = Math.floor(every * random());
      }
      const short = taken && waiting.length < MOST_WAITING ? shortened(passage) : null;
      if (short === null || closing.signal.aborted) return;
      waiting.push({ passage: short, readings: [], interruptions: 0 });
      working ??= work();
    },
    async close() {
      closing.abort();
      await working;
      waiting.length = 0;
    },
  };
}

interface WaitingText {
  readonly passage: Passage;
  /** Of the first members. */
  readonly readings: PassageReading[];
  interruptions: number;
}

interface SimilarityWindow {
  readonly start: number;
  readonly end: number;
  readonly pairs: readonly { readonly a: number; readonly b: number; readonly cka: MinibatchCka }[];
  positions: number;
}

function openWindow(start: number, end: number, layers: readonly (readonly number[])[]): SimilarityWindow {
  const pairs = layers.flatMap((own, a) =>
    layers.flatMap((other, b) =>
      a < b ? [{ a, b, cka: createMinibatchCka(own.length, other.length) }] : [],
    ),
  );
  return { start, end, pairs, positions: 0 };
}

function similaritiesOf(
  { start, end, pairs, positions }: SimilarityWindow,
  members: readonly LanguageModel[],
  layers: readonly (readonly number[])[],
): LayerSimilarity[] {
  const id = (m: number): string => members[m]?.info.id ?? "";
  return pairs.flatMap(({ a, b, cka }) => {
    const { columns, data } = cka.result();
    return Array.from(data, (value, at) => ({
      start,
      end,
      memberA: id(a),
      memberB: id(b),
      layerA: layers[a]?.[Math.floor(at / columns)] ?? 0,
      layerB: layers[b]?.[at % columns] ?? 0,
      value,
      positions,
    })).filter(({ value }) => Number.isFinite(value));
  });
}

/** So many of the items, or all, in random order. */
function drawn<T>(items: readonly T[], count: number, random: () => number): T[] {
  const left = [...items];
  const length = Math.min(count, left.length);
  return Array.from({ length }, () => left.splice(Math.floor(left.length * random()), 1)).flat(1) as T[];
}

/** Null where it would take long to read. */
function shortened(passage: Passage): Passage | null {
  if (passage.kind === "text") return { ...passage, text: passage.text.slice(0, MOST_CHARACTERS) };
  const before = passage.messages.reduce((sum, { content }) => sum + content.length, 0);
  if (before > MOST_CHARACTERS) return null;
  return { ...passage, answer: passage.answer.slice(0, MOST_CHARACTERS) };
}

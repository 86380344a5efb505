import { createMoments, type Moments } from "../stats/moments.ts";
import type { LanguageModel, HiddenStates } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { passageText, type CorpusDocument, type Passage } from "./corpus.ts";
import { concatenated, readPassage, sharedWordEnds } from "./passage-states.ts";
import { rowsOf } from "./token-reader.ts";

/** What a closed-form fit takes from a text: of a chat, only what the answers' tokens give. */
export interface TextMoments {
  readonly documents: number;
  /** Mean and covariance of each member's final states after its own tokens, without the document start. */
  readonly moments: readonly Moments[];
  /** How often each of the anchor's tokens came (V). */
  readonly tokenCounts: Float64Array;
  /** Tokens read by the anchor. */
  readonly tokens: number;
}

/** What a fit learns from reading documents with every member. */
export interface CollectedStates extends TextMoments {
  /** The same when each of `shares` of the documents had been read. */
  readonly snapshots: readonly TextMoments[];
  /** Each member's residual streams at word ends that all members share; none when no taps were asked. */
  readonly taps: readonly TappedStates[];
}

export interface TappedStates {
  readonly layers: readonly number[];
  /** Row-major (n, d) of each of `layers`; row i is the same place in the text for every member. */
  readonly states: readonly Float32Array[];
}

export interface CollectOptions {
  /** The anchor first. */
  readonly members: readonly LanguageModel[];
  readonly documents: readonly CorpusDocument[];
  /** Shares of the documents, in (0, 1], after which to keep what was learned so far. */
  readonly shares: readonly number[];
  /** Layers of each member; empty for none. */
  readonly taps: readonly (readonly number[])[];
  /** The most places kept for the taps. */
  readonly tappedPlaces: number;
  readonly progress: Progress;
}

/** A passage is read up to this many tokens: later ones say little new and cost more. */
const TOKENS_PER_PASSAGE = 512;

export async function collectStates(options: CollectOptions): Promise<CollectedStates> {
  const { members, documents, progress } = options;
  const moments = members.map((member) => createMoments(member.info.width));
  const tokenCounts = new Float64Array(members[0]?.tokenizer.vocabularySize ?? 0);
  const tapped = options.taps.map((layers) => layers.map((): Float32Array[] => []));
  const snapshots: TextMoments[] = [];
  let passages = 0;
  let tokens = 0;
  let places = 0;

  async function learn(passage: Passage): Promise<void> {
    const readings = await Promise.all(
      members.map((member, m) =>
        readPassage(member, passage, { taps: options.taps[m] ?? [], most: TOKENS_PER_PASSAGE }),
      ),
    );
    readings.forEach(({ states }, m) => moments[m]?.add(states.hidden));
    for (const token of readings[0]?.encoding.ids ?? []) tokenCounts[token] = (tokenCounts[token] ?? 0) + 1;
    tokens += readings[0]?.states.rows ?? 0;
    const shared = sharedWordEnds(
      passageText(passage),
      readings.map((reading) => reading.encoding),
    );
    for (const ends of shared.slice(0, options.tappedPlaces - places)) {
      ends.forEach((token, m) =>
        keepTaps(tapped[m] ?? [], options.taps[m] ?? [], readings[m]?.states, token),
      );
      places++;
    }
  }

  const learned = (read: number): TextMoments => ({
    documents: read,
    moments: moments.map((moment) => moment.result()),
    tokenCounts: tokenCounts.slice(),
    tokens,
  });
  const kept = new Set(options.shares.map((share) => Math.ceil(share * documents.length)));
  const total = documents.reduce((sum, document) => sum + document.passages.length, 0);
  progress.stage("reading the corpus", total, "steps");
  for (const [i, document] of documents.entries()) {
    for (const passage of document.passages) {
      await learn(passage);
      progress.update(++passages);
    }
    if (kept.has(i + 1)) snapshots.push(learned(i + 1));
  }
  progress.finish();
  return {
    ...learned(documents.length),
    snapshots,
    taps: options.taps.map((layers, m) => ({ layers, states: (tapped[m] ?? []).map(concatenated) })),
  };
}

function keepTaps(
  kept: Float32Array[][],
  layers: readonly number[],
  states: HiddenStates | undefined,
  token: number,
): void {
  layers.forEach((layer, i) => {
    const rows = states?.taps.get(layer);
    if (states === undefined || rows === undefined) return;
    const row = rowsOf(rows, states.rows, rows.length / states.rows)[token];
    if (row) kept[i]?.push(row.slice());
  });
}

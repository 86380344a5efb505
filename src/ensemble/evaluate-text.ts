import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import type { Ensemble } from "./ensemble.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import { createFusedReading } from "./fused-reading.ts";
import type { Prediction, Reading } from "./reading.ts";
import { MEAN_OF_PROBABILITIES, throughSharedSpace } from "./row-names.ts";
import { createSingleReading } from "./single-reading.ts";

/** How well one way of predicting foresees a text. */
export interface TextScore {
  /** `concord`, a member's id, or a baseline's name. */
  readonly name: string;
  /** Whose tokens were predicted: a member's own vocabulary, or the anchor's. */
  readonly vocabulary: string;
  readonly tokens: number;
  readonly bytes: number;
  /** Sum of −log p over the tokens; null when it abstained at one of them. */
  readonly nats: number | null;
  /** nats / (bytes · ln 2): comparable between vocabularies. */
  readonly bitsPerByte: number | null;
}

/** Scores one text; one longer than the context is cut at line ends into windows. */
export function evaluateText(
  ensemble: Ensemble,
  text: string,
  options: EvaluateOptions,
): Promise<TextScore[]> {
  return evaluateTexts(ensemble, windowsOf(text, ensemble.members), options);
}

export interface EvaluateOptions {
  readonly clock: Clock;
  readonly progress: Progress;
}

/**
 * Scores texts, each from a document start and no longer than the context: under every member alone, under every
 * member and their mean of probabilities read through the shared space, and under the ensemble.
 */
export async function evaluateTexts(
  ensemble: Ensemble,
  texts: readonly string[],
  { clock, progress }: EvaluateOptions,
): Promise<TextScore[]> {
  const anchor = ensemble.members[0].info.id;
  const sums = new Map<string, Sum>();
  const sumOf = (name: string, vocabulary: string): Sum => {
    const sum = sums.get(name) ?? { vocabulary, tokens: 0, nats: 0 };
    sums.set(name, sum);
    return sum;
  };

  for (const member of ensemble.members) {
    const own = sumOf(member.info.id, member.info.id);
    await overTexts(texts, `${member.info.id} alone`, progress, async (window) => {
      const reading = createSingleReading(member, window, clock);
      await overTokens(reading, ({ logprobs }, token) => add(own, logprobs[token]));
    });
  }
  await overTexts(texts, "the ensemble", progress, async (window) => {
    const reading = createFusedReading(ensemble, window, clock);
    await overTokens(reading, (prediction, token) => {
      ensemble.members.forEach((member, m) => {
        const through = sumOf(throughSharedSpace(member.info.id), anchor);
        add(through, prediction.members[m]?.logprobs?.[token]);
      });
      add(sumOf(MEAN_OF_PROBABILITIES, anchor), logMeanProbability(prediction, token));
      add(sumOf(ENSEMBLE_ID, anchor), prediction.logprobs[token]);
    });
  });
  const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
  return [...sums].map(([name, { vocabulary, tokens, nats }]) => ({
    name,
    vocabulary,
    tokens,
    bytes,
    nats,
    bitsPerByte: nats === null ? null : nats / bytes / Math.LN2,
  }));
}

interface Sum {
  readonly vocabulary: string;
  tokens: number;
  nats: number | null;
}

function add(sum: Sum, logprob: number | undefined): void {
  sum.tokens++;
  sum.nats = sum.nats === null || logprob === undefined ? null : sum.nats - logprob;
}

/** log (1/m Σ_m p_m(token)) over the members present. */
export function logMeanProbability({ members }: Prediction, token: number): number {
  const present = members.flatMap(({ logprobs }) =>
    logprobs === null ? [] : [logprobs[token] ?? -Infinity],
  );
  return Math.log(present.reduce((sum, logprob) => sum + Math.exp(logprob), 0) / present.length);
}

async function overTexts(
  texts: readonly string[],
  label: string,
  progress: Progress,
  read: (window: { kind: "text"; text: string }) => Promise<void>,
): Promise<void> {
  progress.stage(label, texts.length, "steps");
  for (const [i, text] of texts.entries()) {
    await read({ kind: "text", text });
    progress.update(i + 1);
  }
  progress.finish();
}

async function overTokens(
  reading: Reading,
  visit: (prediction: Prediction, token: number) => void,
): Promise<void> {
  try {
    let position = 0;
    for await (const prediction of reading.score()) visit(prediction, reading.prompt.scored[position++] ?? 0);
  } finally {
    reading.close();
  }
}

/** Pieces of whole lines that every member can hold; a line too long for that is cut by characters. */
export function windowsOf(text: string, members: readonly LanguageModel[]): string[] {
  const limit = Math.min(...members.map((member) => member.info.contextLength)) - 1;
  const lengthOf = (piece: string): number =>
    Math.max(...members.map((member) => member.tokenizer.encode(piece).ids.length));
  if (lengthOf(text) <= limit) return [text];
  const windows: string[] = [];
  let window = "";
  let length = 0;
  for (const line of text.split(/(?<=\n)/).flatMap((whole) => cutLine(whole, limit, lengthOf))) {
    const more = lengthOf(line);
    if (length + more > limit && window !== "") {
      windows.push(window);
      window = "";
      length = 0;
    }
    window += line;
    length += more;
  }
  return window === "" ? windows : [...windows, window];
}

/** A token has at least one byte, so a quarter of the limit in characters always fits. */
function cutLine(line: string, limit: number, lengthOf: (piece: string) => number): string[] {
  if (lengthOf(line) <= limit) return [line];
  const characters = Array.from(line);
  const size = Math.max(1, Math.floor(limit / 4));
  return Array.from({ length: Math.ceil(characters.length / size) }, (_, i) =>
    characters.slice(i * size, (i + 1) * size).join(""),
  );
}

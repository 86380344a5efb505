import type { Clock } from "../ports/clock.ts";
import type { Progress } from "../ports/progress.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";
import { passageText, takeTokens, type CorpusDocument } from "./corpus.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import type { Ensemble } from "./ensemble.ts";
import { scoreDocument } from "./evaluate-text.ts";
import { relativeFertility, type Route } from "./route.ts";

/** A document under the fused answer and under one follower alone. */
export interface RoutedDocument {
  /** Relative fertility. */
  readonly r: number;
  /** Sum of −log p over the document. */
  readonly fused: number;
  readonly alone: number;
}

/** A limit that gives up no more than this share of the largest gain is as good as the best. */
const NEARLY = 0.95;

/** In standard errors of a gain that is 0: by chance once in twenty times. */
const WORTH_IT = 1.645;

/**
 * The relative fertility τ from which on a follower answers alone; Infinity for never. With the gains g_i = fused_i −
 * alone_i, G(τ) = Σ g_i over r_i >= τ is what τ saves. Candidates lie between neighbouring observed r, at the middle of
 * log r. Those with G(τ) >= 0.95 max G are as good as the best, and of these the one in the widest gap of log r is
 * taken, the higher of equals: there the fewest texts like these are near the limit. It must be worth it, or the
 * ensemble always fuses: the gain must pay for saying the decision, ln 2 for each document, and be more than what chance
 * gives once in twenty times were each g_i as likely to be of the other sign, G(τ) > max(n ln 2, 1.645 √Σ g_i²) with the
 * sum over r_i >= τ; two documents are never enough. τ is sought on the same documents, so chance has a little more room
 * than that. Cost n log n.
 */
export function fitLimit(documents: readonly RoutedDocument[]): number {
  const falling = documents.toSorted((a, b) => b.r - a.r);
  const found: {
    readonly limit: number;
    readonly gap: number;
    readonly gain: number;
    readonly error: number;
  }[] = [];
  let gain = 0;
  let squares = 0;
  for (const [i, { r, fused, alone }] of falling.entries()) {
    gain += fused - alone;
    squares += (fused - alone) ** 2;
    const below = falling[i + 1]?.r ?? r;
    if (below < r) {
      found.push({ limit: Math.sqrt(r * below), gap: Math.log(r / below), gain, error: Math.sqrt(squares) });
    }
  }
  const most = Math.max(0, ...found.map((candidate) => candidate.gain));
  const [widest] = found
    .filter((candidate) => candidate.gain >= NEARLY * most)
    .sort((a, b) => b.gap - a.gap || b.limit - a.limit);
  if (widest === undefined) return Infinity;
  const worth = Math.max(documents.length * Math.LN2, WORTH_IT * widest.error);
  return widest.gain > worth ? widest.limit : Infinity;
}

export interface FitRoutesOptions {
  readonly ensemble: Ensemble;
  /** None that the maps have seen. */
  readonly documents: readonly CorpusDocument[];
  readonly clock: Clock;
  readonly progress: Progress;
}

/** The followers that gain by answering some texts alone, each with its limit. Documents that are not plain text do not count. */
export async function fitRoutes({
  ensemble,
  documents,
  clock,
  progress,
}: FitRoutesOptions): Promise<Route[]> {
  const always: Ensemble = { ...ensemble, routes: [] };
  const [anchor, ...followers] = ensemble.members;
  const texts = documents.filter(isPlainText);
  const scored: (readonly RoutedDocument[])[] = [];
  progress.stage("finding what not to fuse", texts.length, "steps");
  for (const document of texts) {
    const { sums } = await scoreDocument(document, { ensemble: always, clock, exact: null });
    const natsOf = (name: string): number => sums.find((sum) => sum.name === name)?.nats ?? NaN;
    const text = document.passages.map(passageText).join("");
    scored.push(
      followers.map(({ info, tokenizer }) => ({
        r: relativeFertility(anchor.tokenizer, tokenizer, text),
        fused: natsOf(ENSEMBLE_ID),
        alone: natsOf(info.id),
      })),
    );
    progress.update(scored.length);
  }
  progress.finish();
  return followers.flatMap(({ info }, f) => {
    const own = scored.flatMap((document) => document[f] ?? []);
    const ratio = fitLimit(own);
    if (ratio === Infinity) return [];
    const share = (own.filter(({ r }) => r >= ratio).length + 1) / (own.length + 2);
    return { member: info.id, ratio, share };
  });
}

/** Plain texts up to about so many tokens, the same share of each domain, in an order that the seed decides. */
export function textsOfEachDomain(
  documents: readonly CorpusDocument[],
  most: number,
  tokenizer: Tokenizer,
  seed: number,
): CorpusDocument[] {
  const texts = documents.filter(isPlainText);
  const domains = [...new Set(texts.map(({ domain }) => domain))];
  return domains.flatMap((name) =>
    takeTokens(
      texts.filter(({ domain }) => domain === name),
      most / domains.length,
      tokenizer,
      seed,
    ),
  );
}

function isPlainText({ passages }: CorpusDocument): boolean {
  return passages.every(({ kind }) => kind === "text");
}

import type { Random } from "../linalg/random.ts";
import { pairedBootstrap } from "../stats/paired-bootstrap.ts";
import type { Interval } from "../stats/proportion.ts";
import { RESAMPLES } from "./choice-report.ts";
import { ORACLE_TEXT } from "./row-names.ts";
import { addSums, sumNamed, type DocumentScore } from "./evaluate-text.ts";

/** How well one way of predicting foresees all documents of a domain. */
export interface TextScore {
  readonly domain: string;
  readonly name: string;
  readonly vocabulary: string;
  readonly tokens: number;
  readonly bytes: number;
  /** Sum of −log p over the tokens. */
  readonly nats: number;
  /** nats / (bytes · ln 2): comparable between vocabularies. Null for an empty text. */
  readonly bitsPerByte: number | null;
}

export interface DomainScores {
  readonly domain: string;
  readonly documents: number;
  readonly bytes: number;
  readonly scores: readonly TextScore[];
}

/** One way of predicting against the best of others on the same documents. */
export interface BestComparison {
  readonly name: string;
  readonly against: string;
  /** Bits per byte of the first minus the second: below 0 the first is better. */
  readonly difference: number;
  /** 95 %, by resampling documents; null where there are too few. */
  readonly interval: Interval | null;
  /** Bits of the first over those of the second, 1 + difference / bits per byte of the second: below 1 the first is better. */
  readonly ratio: number;
  /** As `interval`, of the ratio. */
  readonly ratioInterval: Interval | null;
}

/** Sums over the documents of each domain, in the domains' order. */
export function sumByDomain(documents: readonly DocumentScore[]): DomainScores[] {
  const domains = [...new Set(documents.map(({ domain }) => domain))];
  return domains.map((domain) => {
    const own = documents.filter((document) => document.domain === domain);
    const bytes = own.reduce((sum, document) => sum + document.bytes, 0);
    const scores = addSums(own.map(({ sums }) => sums)).map(
      ({ name, vocabulary, tokens, nats }): TextScore => ({
        domain,
        name,
        vocabulary,
        tokens,
        bytes,
        nats,
        bitsPerByte: bytes > 0 ? nats / bytes / Math.LN2 : null,
      }),
    );
    return { domain, documents: own.length, bytes, scores };
  });
}

/** The sum a way would have that knew for each document which of `names` predicts it best: a bound, no way to predict. */
export function oracleScore(
  documents: readonly DocumentScore[],
  domain: string,
  names: readonly string[],
): TextScore {
  const best = documents.map(({ sums }) =>
    names.map((name) => sumNamed(sums, name)).reduce((a, b) => (b.nats < a.nats ? b : a)),
  );
  const bytes = total(documents.map((document) => document.bytes));
  const nats = total(best.map((sum) => sum.nats));
  return {
    domain,
    name: ORACLE_TEXT,
    vocabulary: "its own",
    tokens: total(best.map((sum) => sum.tokens)),
    bytes,
    nats,
    bitsPerByte: bytes > 0 ? nats / bytes / Math.LN2 : null,
  };
}

/** Resampling fewer documents tells nothing. */
const FEWEST_DOCUMENTS = 10;

/** `name` against the one of `others` with the fewest bits per byte on these documents of one domain. */
export function compareWithBest(
  documents: readonly DocumentScore[],
  name: string,
  others: readonly string[],
  random: Random,
): BestComparison {
  const natsOf = (of: string): number[] => documents.map(({ sums }) => sumNamed(sums, of).nats);
  const [against] = others.toSorted((a, b) => total(natsOf(a)) - total(natsOf(b)));
  if (against === undefined) throw new Error(`compareWithBest: nothing to compare ${name} with`);
  const bits = natsOf(against).map((nats) => nats / Math.LN2);
  const differences = natsOf(name).map((nats, i) => nats / Math.LN2 - (bits[i] ?? NaN));
  const bytes = documents.map((document) => document.bytes);
  const resample = (sizes: readonly number[]): Interval | null =>
    documents.length < FEWEST_DOCUMENTS
      ? null
      : pairedBootstrap(differences, sizes, { random, resamples: RESAMPLES });
  const interval = resample(bytes);
  const relative = resample(bits);
  return {
    name,
    against,
    difference: total(differences) / total(bytes),
    interval,
    ratio: 1 + total(differences) / total(bits),
    ratioInterval: relative && { low: 1 + relative.low, high: 1 + relative.high },
  };
}

function total(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

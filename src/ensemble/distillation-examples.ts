import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import type { CorpusDocument, Passage } from "./corpus.ts";
import { softmax } from "../stats/distributions.ts";
import { marginalise, marginalMap, mostLikely, type SparseDistribution } from "./member-marginals.ts";
import { createStateReading } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";

/** A position of a text at which every member has a state. */
export interface DistillationExample {
  /** Each member's final state (d_m). */
  readonly states: readonly Float32Array[];
  /** The anchor's token that came. */
  readonly token: number;
  /** Each member's own word on the anchor's vocabulary, by its own head. */
  readonly targets: readonly SparseDistribution[];
}

export interface ExampleOptions {
  /** The anchor first. */
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  /** Each domain's are read in their order, the domains by turns, until there are enough positions. */
  readonly documents: readonly CorpusDocument[];
  readonly most: number;
  readonly clock: Clock;
  readonly progress: Progress;
}

/** Tokens kept of each distribution: some 95 % of its mass. */
const KEPT_TOKENS = 256;
/** Positions decoded at once: 17 MB of logits at a vocabulary of 262,144, and as many that are being made. */
const DECODED_AT_ONCE = 16;

/** Reads documents with all members and asks each what it expects next, of every domain equally often while it lasts. */
export async function collectExamples(options: ExampleOptions): Promise<DistillationExample[]> {
  const { members, most, clock, progress } = options;
  const ask = createQuestion(members);
  const examples: DistillationExample[] = [];
  const left = byDomain(options.documents);
  progress.stage("asking the members what comes next", most, "tokens");
  let found: FoundPosition[] = [];
  let count = 0;
  do {
    const next = count < most ? left.toSorted((a, b) => a.positions - b.positions)[0] : undefined;
    const passage = next?.passages.shift();
    // The next passage is read while the last one's states are decoded.
    const [more, answered] = await Promise.all([
      passage ? readPositions(members, passage, clock) : [],
      ask(found),
    ]);
    found = more.slice(0, most - count);
    count += found.length;
    if (next) {
      next.positions += found.length;
      if (next.passages.length === 0) left.splice(left.indexOf(next), 1);
    }
    examples.push(...answered);
    progress.update(examples.length);
  } while (found.length > 0 || (left.length > 0 && count < most));
  progress.finish();
  return examples;
}

/** What is left to read of a domain, and how many positions it has given. */
interface DomainQueue {
  readonly passages: Passage[];
  positions: number;
}

function byDomain(documents: readonly CorpusDocument[]): DomainQueue[] {
  const queues = new Map<string, DomainQueue>();
  for (const { domain, passages } of documents) {
    const queue = queues.get(domain) ?? { passages: [], positions: 0 };
    queue.passages.push(...passages);
    queues.set(domain, queue);
  }
  return [...queues.values()];
}

type FoundPosition = Pick<DistillationExample, "states" | "token">;

async function readPositions(
  members: ExampleOptions["members"],
  passage: Passage,
  clock: Clock,
): Promise<FoundPosition[]> {
  const reading = createStateReading(members, passage, clock);
  try {
    const positions = await reading.positions();
    return positions.flatMap((states, at) => {
      const all = states.flatMap((state) => ("state" in state ? [state.state.slice()] : []));
      const token = reading.prompt.scored[at];
      return all.length === members.length && token !== undefined ? [{ states: all, token }] : [];
    });
  } finally {
    reading.close();
  }
}

function createQuestion(
  members: ExampleOptions["members"],
): (positions: readonly FoundPosition[]) => Promise<DistillationExample[]> {
  const [anchor, ...followers] = members;
  const maps = followers.map((member) => marginalMap(member.tokenizer, anchor.tokenizer));

  /** Logits of each member's own vocabulary (m arrays of positions). */
  const decode = (some: readonly FoundPosition[]): Promise<Float32Array[][]> =>
    Promise.all(
      members.map(async ({ head }, m) => {
        const states = stacked(some.map((position) => position.states[m]));
        return rowsOf(await head.decode(states), some.length, head.vocabularySize);
      }),
    );
  const targetsOf = (logits: readonly Float32Array[][], i: number): SparseDistribution[] => {
    const [own, ...others] = logits.map((rows) => rows[i] ?? new Float32Array(0));
    if (own === undefined) return [];
    const marginals = maps.map((map, f) => marginalise(others[f] ?? new Float32Array(0), map, own));
    softmax(own);
    return [own, ...marginals].map((probabilities) => mostLikely(probabilities, KEPT_TOKENS));
  };

  return async (positions) => {
    const examples: DistillationExample[] = [];
    let coming = decode(positions.slice(0, DECODED_AT_ONCE));
    for (let first = 0; first < positions.length; first += DECODED_AT_ONCE) {
      const some = positions.slice(first, first + DECODED_AT_ONCE);
      const logits = await coming;
      coming = decode(positions.slice(first + DECODED_AT_ONCE, first + 2 * DECODED_AT_ONCE));
      for (const [i, position] of some.entries()) {
        examples.push({ ...position, targets: targetsOf(logits, i) });
      }
    }
    return examples;
  };
}

function stacked(rows: readonly (Float32Array | undefined)[]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) if (row) all.set(row, i * width);
  return all;
}

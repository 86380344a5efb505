import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { CorpusDocument, Passage } from "./corpus.ts";
import { createStateReading } from "./state-reading.ts";

/** A position of a text at which every member has a state. */
export interface ReadPosition {
  /** Each member's final state (d_m). */
  readonly states: readonly Float32Array[];
  /** The anchor's token that came. */
  readonly token: number;
}

export interface TurnsOptions {
  /** The anchor first. */
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  /** Each domain's are read in their order. */
  readonly documents: readonly CorpusDocument[];
  readonly most: number;
  readonly clock: Clock;
}

/** Reads documents with all members, of every domain equally often while it lasts: the positions of a passage at a time. */
export async function* positionsByTurns(options: TurnsOptions): AsyncGenerator<ReadPosition[]> {
  const { members, most, clock } = options;
  const left = byDomain(options.documents);
  for (let count = 0; count < most;) {
    const [next] = left.toSorted((a, b) => a.positions - b.positions);
    const passage = next?.passages.shift();
    if (next === undefined || passage === undefined) return;
    const found = (await readPassage(members, passage, clock)).slice(0, most - count);
    next.positions += found.length;
    count += found.length;
    if (next.passages.length === 0) left.splice(left.indexOf(next), 1);
    yield found;
  }
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

async function readPassage(
  members: TurnsOptions["members"],
  passage: Passage,
  clock: Clock,
): Promise<ReadPosition[]> {
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

/** The states of one member, one after another (n, d). */
export function statesOf(positions: readonly ReadPosition[], member: number): Float32Array {
  const width = positions[0]?.states[member]?.length ?? 0;
  const all = new Float32Array(positions.length * width);
  for (const [i, { states }] of positions.entries()) all.set(states[member] ?? [], i * width);
  return all;
}

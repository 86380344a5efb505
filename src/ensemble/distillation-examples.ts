import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import type { CorpusDocument } from "./corpus.ts";
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
  readonly documents: readonly CorpusDocument[];
  /** Documents are read in their order until there are that many. */
  readonly most: number;
  readonly clock: Clock;
  readonly progress: Progress;
}

/** Tokens kept of each distribution: some 95 % of its mass. */
const KEPT_TOKENS = 256;
/** Positions decoded at once: 17 MB of logits at a vocabulary of 262,144. */
const DECODED_AT_ONCE = 16;

/** Reads documents with all members and asks each what it expects next. */
export async function collectExamples(options: ExampleOptions): Promise<DistillationExample[]> {
  const { members, documents, most, clock, progress } = options;
  const [anchor, ...followers] = members;
  const maps = followers.map((member) => marginalMap(member.tokenizer, anchor.tokenizer));
  const examples: DistillationExample[] = [];
  progress.stage("asking the members what comes next", most, "tokens");
  for (const passage of documents.flatMap((document) => document.passages)) {
    const reading = createStateReading(members, passage, clock);
    try {
      const positions = await reading.positions();
      const present = positions.flatMap((states, at) => {
        const all = states.flatMap((state) => ("state" in state ? [state.state.slice()] : []));
        const token = reading.prompt.scored[at];
        return all.length === members.length && token !== undefined ? [{ states: all, token }] : [];
      });
      for (let first = 0; first < present.length; first += DECODED_AT_ONCE) {
        const some = present.slice(first, first + DECODED_AT_ONCE);
        const logits = await Promise.all(
          members.map(async ({ head }, m) =>
            rowsOf(
              await head.decode(stacked(some.map(({ states }) => states[m]))),
              some.length,
              head.vocabularySize,
            ),
          ),
        );
        for (const [i, { states, token }] of some.entries()) {
          const [own, ...others] = logits.map((rows) => rows[i] ?? new Float32Array(0));
          if (own === undefined) continue;
          const targets = others.map((row, f) => {
            const map = maps[f];
            if (map === undefined) throw new Error("distillation: there is no map of a member's tokens");
            return mostLikely(marginalise(row, map, own), KEPT_TOKENS);
          });
          softmax(own);
          examples.push({ states, token, targets: [mostLikely(own, KEPT_TOKENS), ...targets] });
        }
      }
    } finally {
      reading.close();
    }
    progress.update(Math.min(most, examples.length));
    if (examples.length >= most) break;
  }
  progress.finish();
  return examples;
}

function stacked(rows: readonly (Float32Array | undefined)[]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) if (row) all.set(row, i * width);
  return all;
}

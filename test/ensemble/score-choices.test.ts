import { describe, expect, it } from "vitest";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import { tokenizeOptions, type ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import type { Reading } from "../../src/ensemble/reading.ts";
import {
  BY_LOG_PROBABILITY,
  MEAN_OF_PROBABILITIES,
  throughSharedSpace,
} from "../../src/ensemble/row-names.ts";
import { createChoiceScorer, type ItemScores } from "../../src/ensemble/score-choices.ts";
import { createSingleReading } from "../../src/ensemble/single-reading.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";
import { createByteTokenizer, createScriptedMember } from "../scripted-member.ts";

const item = (context: string, ...choices: string[]): ChoiceItem => ({
  id: "it",
  context,
  choices,
  label: 0,
  split: "report",
});

/** The scripted ensemble with a second member that has longer tokens than the anchor. */
function ensembleWith(pieces: readonly string[]): Ensemble {
  const scripted = createScriptedEnsemble();
  const tokenizer = createMergingTokenizer(pieces);
  const follower = createScriptedMember({ id: "second", seed: 2, tokenizer });
  return { ...scripted, members: [scripted.members[0], follower] };
}

const ALL = { alone: true, together: true };

async function scoresOf(ensemble: Ensemble, asked: ChoiceItem): Promise<ItemScores> {
  const scorer = createChoiceScorer(ensemble);
  try {
    return await scorer.score(asked, ALL);
  } finally {
    scorer.close();
  }
}

function logprobsOf({ alone: own, together }: ItemScores, name: string): readonly number[] {
  return [...own, ...together].find((row) => row.name === name)?.logprobs ?? [];
}

/** Σ log p of a text's tokens from the `from`th on, by a reading that scores it from its start. */
async function sumFrom(
  reading: Reading,
  from: number,
  logprobsAt: (prediction: Awaited<ReturnType<Reading["next"]>>) => Float32Array | null | undefined,
): Promise<number> {
  let sum = 0;
  let position = 0;
  for await (const prediction of reading.score()) {
    const token = reading.prompt.scored[position] ?? 0;
    if (position++ >= from) sum += logprobsAt(prediction)?.[token] ?? Number.NaN;
  }
  reading.close();
  return sum;
}

const alone = (member: LanguageModel, text: string, from: number): Promise<number> =>
  sumFrom(createSingleReading(member, { kind: "text", text }, systemClock), from, (p) => p.logprobs);

describe("tokens of choices", () => {
  it("are given up to the context's end where a token ends there", () => {
    const { given, positions } = tokenizeOptions(createByteTokenizer(), item("ab", " cd", " ce", "f"));
    expect(given).toBe(2);
    // After "ab" all go on; then " cd" and " ce" by themselves, two more tokens each.
    expect(positions.map(({ option, index }) => [option, index])).toEqual([
      [0, 2],
      [0, 3],
      [1, 3],
      [0, 4],
      [1, 4],
    ]);
    expect(positions[0]?.next.map(({ option }) => option)).toEqual([0, 1, 2]);
  });

  it("are given no further than before a token that straddles the context's end, for every choice", () => {
    // pot|ato is p o ta t o, and pot|s is p o t s.
    const tokens = tokenizeOptions(createMergingTokenizer(["ta"]), item("pot", "ato", "s"));
    expect(tokens.ids.map((ids) => ids.length)).toEqual([5, 4]);
    expect(tokens.given).toBe(2);
    expect(tokens.positions[0]?.next).toEqual([
      { option: 0, token: 258 },
      { option: 1, token: "t".charCodeAt(0) },
    ]);
  });

  it("that all choices share beyond the context are predicted once", () => {
    const { given, positions } = tokenizeOptions(createByteTokenizer(), item("", "the cat", "the cow"));
    expect(given).toBe(0);
    expect(positions.filter(({ next }) => next.length === 2)).toHaveLength(6);
    expect(positions.filter(({ next }) => next.length === 1)).toHaveLength(2);
  });

  it("of a choice that begins another one are all predicted", () => {
    const { positions } = tokenizeOptions(createByteTokenizer(), item("a", "b", "bc"));
    expect(positions.flatMap(({ next }) => next.map(({ option }) => option))).toEqual([0, 1, 1]);
  });
});

describe("log-probabilities of choices", () => {
  it.each([
    ["plain", item("Paris is in", " France", " Peru", " Francestown")],
    ["without a context", item("", "He runs.", "He run.")],
    ["straddling", item("The pot", "ato grows", "s grow")],
    ["with characters of several bytes", item("Das h", "übsche Öl", "åsliche Ö")],
  ])("are those of reading each whole text: %s", async (_, asked) => {
    const ensemble = ensembleWith(["ta", " gr", "ows", " is", "Fr", "anc", "he r", "übs"]);
    const [anchor, follower] = ensemble.members;
    const scores = await scoresOf(ensemble, asked);
    const tokens = ensemble.members.map((member) => tokenizeOptions(member.tokenizer, asked));
    for (const [option, choice] of asked.choices.entries()) {
      const text = asked.context + choice;
      const from = tokens[0]?.given ?? 0;
      const fused = (): Reading => createFusedReading(ensemble, { kind: "text", text }, systemClock);
      const expected = {
        [anchor.info.id]: await alone(anchor, text, from),
        second: await alone(follower ?? anchor, text, tokens[1]?.given ?? 0),
        [BY_LOG_PROBABILITY]: await sumFrom(fused(), from, (p) => p.logprobs),
        [throughSharedSpace(anchor.info.id)]: await sumFrom(fused(), from, (p) => p.members[0]?.logprobs),
        // Where it abstains, the only other one stands for it.
        [throughSharedSpace("second")]: await sumFrom(
          fused(),
          from,
          (p) => p.members[1]?.logprobs ?? p.members[0]?.logprobs,
        ),
      };
      for (const [name, sum] of Object.entries(expected)) {
        expect(logprobsOf(scores, name)[option], name).toBeCloseTo(sum, 3);
      }
    }
  });

  it("of the mean lie between those of the members at every token", async () => {
    const asked = item("ab", "c", "d");
    const scores = await scoresOf(createScriptedEnsemble(), asked);
    const [first, second] = ["first", "second"].map((id) => logprobsOf(scores, throughSharedSpace(id)));
    for (const [option, mean] of logprobsOf(scores, MEAN_OF_PROBABILITIES).entries()) {
      const [a, b] = [Math.exp(first?.[option] ?? 0), Math.exp(second?.[option] ?? 0)];
      expect(Math.exp(mean)).toBeCloseTo((a + b) / 2, 6);
    }
  });

  it("do not depend on what was scored before", async () => {
    const scorer = createChoiceScorer(ensembleWith(["ta", " gr"]));
    const first = await scorer.score(item("The pot", "ato", "s"), ALL);
    await scorer.score(item("The pond", " grew", "s"), ALL);
    await scorer.score(item("Something else", " entirely", "?"), ALL);
    expect(await scorer.score(item("The pot", "ato", "s"), ALL)).toEqual(first);
    scorer.close();
  });

  it("count the bytes of a choice and the tokens predicted of it", async () => {
    const scores = await scoresOf(ensembleWith(["ta"]), item("pot", "ätö", "s"));
    expect(scores.bytes).toEqual([5, 1]);
    expect(scores.alone.find(({ name }) => name === "first")?.tokens).toEqual([5, 1]);
  });

  it("are refused for a text that is longer than a member's context", async () => {
    const scripted = createScriptedEnsemble();
    const short = createScriptedMember({ id: "second", seed: 2, contextLength: 8 });
    const ensemble: Ensemble = { ...scripted, members: [scripted.members[0], short] };
    await expect(scoresOf(ensemble, item("12345678", "9", "0"))).rejects.toMatchObject({
      code: "context_length_exceeded",
    });
  });
});

describe("states of choices", () => {
  it("are the means over their predicted tokens of every member's stream at half its depth", async () => {
    const ensemble = ensembleWith(["ta", " gr", "ows"]);
    const asked = item("The pot", "ato grows", "s", " grew");
    const scores = await scoresOf(ensemble, asked);
    for (const [m, member] of ensemble.members.entries()) {
      const { ids, given } = tokenizeOptions(member.tokenizer, asked);
      for (const [option, tokens] of ids.entries()) {
        const sequence = member.openSequence();
        const rows = tokens.length - given;
        const fed = [member.tokenizer.documentStart, ...tokens];
        const { taps } = await sequence.append(fed, { rows, taps: [2] });
        sequence.close();
        const layer = taps.get(2) ?? new Float32Array(0);
        const state = scores.alone[m]?.states[option] ?? new Float32Array(0);
        expect(state).toHaveLength(member.info.width);
        for (const [j, x] of state.entries()) {
          const column = layer.filter((_, at) => at % member.info.width === j);
          expect(x).toBeCloseTo(column.reduce((sum, value) => sum + value, 0) / rows, 5);
        }
      }
    }
  });
});

describe("scores that are asked for apart", () => {
  it("are those of both at once, and the others empty", async () => {
    const ensemble = ensembleWith(["ta", " gr"]);
    const asked = item("The pot", "ato", "s");
    const both = await scoresOf(ensemble, asked);
    const scorer = createChoiceScorer(ensemble);
    const { bytes, alone: own, together } = both;
    const aloneOnly = await scorer.score(asked, { alone: true, together: false });
    const togetherOnly = await scorer.score(asked, { alone: false, together: true });
    scorer.close();
    expect(aloneOnly).toEqual({ bytes, alone: own, together: [] });
    expect(togetherOnly).toEqual({ bytes, alone: [], together });
  });
});

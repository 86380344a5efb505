import { describe, expect, it } from "vitest";
import {
  decideChoices,
  fitChoiceDecider,
  nearestKind,
  type ChoiceKind,
} from "../../src/ensemble/choice-calibration.ts";
import { chooseAnswer } from "../../src/ensemble/choose-answer.ts";
import { reportChoiceConfidence } from "../../src/ensemble/confidence-report.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { LEAST_LIKENESS } from "../../src/ensemble/likeness.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { plainSampling, type Question } from "../../src/ports/engine.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";
import { simulatedItems } from "../simulated-items.ts";

const memberIds = ["a", "b"];
const TELLING = { logprobs: 1, states: 0 };

/** A kind whose questions both members, and each alone, were calibrated on. */
function kindOf(seed: number, name = "simulated"): ChoiceKind {
  const items = simulatedItems(600, seed, TELLING);
  return {
    name,
    form: "text",
    counts: [2, 3, 4],
    items: items.length,
    deciders: [memberIds, ["a"], ["b"]].map((ids) => fitChoiceDecider(ids, items, createRandom(seed))),
  };
}

const kind = kindOf(1);
const told = simulatedItems(700, 9, TELLING);

describe("deciders of choices", () => {
  it("are calibrated, and their sets cover what is asked for, on questions that they have not seen", () => {
    const { rows, sets, disagreement } = reportChoiceConfidence(
      kind,
      memberIds,
      { calibrating: simulatedItems(400, 2, TELLING), told },
      1,
    );
    const [ours, ...others] = rows;
    expect(ours?.name).toBe("concord");
    expect(ours?.eceWidth.value).toBeLessThan(0.05);
    // Two members that each see something of their own know more than either.
    const alone = others.filter(({ name }) => name === "a with a head" || name === "b with a head");
    expect(alone).toHaveLength(2);
    for (const row of alone) {
      expect(ours?.nll).toBeLessThan(row.nll);
      expect(ours?.auroc.value).toBeGreaterThan(row.auroc.value);
    }
    for (const { level, coverage, byChance } of sets) {
      expect(Math.abs(coverage - level)).toBeLessThan(2 * byChance);
    }
    expect(disagreement?.difference.interval.low).toBeLessThanOrEqual(disagreement?.difference.value ?? NaN);
  });

  it("give probabilities that are together 1, and larger sets for more coverage", () => {
    for (const { scores } of told.slice(0, 50)) {
      const { probabilities, set } = decideChoices(kind.deciders[0]!, scores);
      expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 9);
      expect(set(0.95)).toEqual(expect.arrayContaining(set(0.8)));
    }
  });

  it("know their questions by the members' states, and refuse as few of their own as they say", () => {
    const likeness = told.map(({ scores }) => nearestKind([kind], "text", memberIds, scores)?.likeness ?? 0);
    const refused = likeness.filter((value) => value < LEAST_LIKENESS).length / told.length;
    expect(refused).toBeLessThan(2.5 * LEAST_LIKENESS);
    for (const { scores } of told.slice(0, 100)) {
      for (const { states } of scores.alone) {
        for (const state of states) for (let j = 0; j < state.length; j++) state[j]! += 8;
      }
      expect(nearestKind([kind], "text", memberIds, scores)?.likeness).toBeLessThan(LEAST_LIKENESS);
    }
    expect(nearestKind([kind], "chat", memberIds, told[0]!.scores)).toBeNull();
    expect(nearestKind([kind], "text", ["a", "c"], told[0]!.scores)).toBeNull();
  });
});

const question: Question = {
  requestId: "q",
  model: "concord",
  endpoint: "completions",
  prompt: { kind: "text", text: "Is water wet?" },
  choices: ["yes", "no", "perhaps"].map((value) => ({ value, text: value })),
  maxTokens: null,
  stop: [],
  sampling: { ...plainSampling, temperature: 0 },
  topLogprobs: null,
  echo: false,
};
const options = { kinds: [], random: createRandom(1).next };

async function choose(ensemble: Ensemble, changes: Partial<Question> = {}, quorum = 1) {
  const chosen = await chooseAnswer(
    { ...question, ...changes },
    { ensemble, quorum, vocabulary: ensemble.members[0] },
    options,
  );
  if (chosen === null) throw new Error("there are choices");
  return chosen;
}

/** The ensemble, its second member lost. */
function withoutSecond(): Ensemble {
  const ensemble = createScriptedEnsemble();
  const [first, second] = ensemble.members;
  if (second === undefined) throw new Error("there are two members");
  return { ...ensemble, members: [first, { ...second, openSequence: ended }] };
}

function ended(): never {
  throw new GatewayError("members_lost", "second: it ended");
}

describe("an answer that is chosen", () => {
  it("is one of the choices, the most probable at temperature 0, and no confidence is made up", async () => {
    const { tokens, confidence, choices } = await choose(createScriptedEnsemble());
    const best = choices.probabilities.indexOf(Math.max(...choices.probabilities));
    const text = question.choices?.[best]?.text ?? "";
    expect([...tokens]).toEqual([...new TextEncoder().encode(text)]);
    expect(choices.probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 9);
    expect(choices.predictionSet).toBeNull();
    expect(confidence).toEqual({
      value: null,
      gap: "nothing_calibrated",
      reason: "nothing was calibrated on questions asked in a plain text for these members",
    });
  });

  it("is drawn by the probabilities at a temperature above 0", async () => {
    const ensemble = createScriptedEnsemble();
    const sampling = { ...plainSampling, temperature: 2 };
    const { choices } = await choose(ensemble);
    const counts = new Map<number, number>();
    for (let i = 0; i < 60; i++) {
      const { tokens } = await choose(ensemble, { sampling });
      counts.set(tokens[0] ?? 0, (counts.get(tokens[0] ?? 0) ?? 0) + 1);
    }
    expect(choices.probabilities).toHaveLength(3);
    expect(counts.size).toBeGreaterThan(1);
  });

  it("is chosen by the members that are left, as each alone would, down to the quorum", async () => {
    const ensemble = createScriptedEnsemble();
    const left = await choose(withoutSecond());
    const alone = await choose({ ...ensemble, members: [ensemble.members[0]] });
    expect(left.choices).toEqual(alone.choices);
    await expect(choose(withoutSecond(), {}, 2)).rejects.toMatchObject({ code: "members_lost" });
  });

  it("needs room for every choice", async () => {
    await expect(choose(createScriptedEnsemble(), { maxTokens: 3 })).rejects.toThrow(
      "the longest of which has 7 tokens, got 3",
    );
  });
});

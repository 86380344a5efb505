import { describe, expect, it } from "vitest";
import {
  decideByHead,
  headScores,
  learnChoiceHead,
  learnHeads,
  type ChoiceHead,
} from "../../src/ensemble/choice-head.ts";
import type { ScoredItem } from "../../src/ensemble/choice-ways.ts";
import { simulatedItems, WIDTH } from "../simulated-items.ts";

const memberIds = ["a", "b"];
function shareRight(head: ChoiceHead, items: readonly ScoredItem[]): number {
  return items.filter(({ item, scores }) => decideByHead(head, scores) === item.label).length / items.length;
}

describe("a decision head", () => {
  it("decides by states where these tell the answer and log-probabilities do not", () => {
    const telling = { logprobs: 0, states: 3 };
    const head = learnChoiceHead(memberIds, simulatedItems(200, 1, telling), simulatedItems(100, 2, telling));
    expect(head.form.stateRidge).not.toBeNull();
    expect(head.items).toBe(300);
    expect(shareRight(head, simulatedItems(300, 3, telling))).toBeGreaterThan(0.9);
  });

  it("loses nothing to states that are noise, and leaves them out where they do harm on the items to choose on", () => {
    const telling = { logprobs: 1.5, states: 0 };
    const fresh = simulatedItems(1000, 12, telling);
    const seen = [simulatedItems(60, 10, telling), simulatedItems(400, 11, telling)] as const;
    const head = learnChoiceHead(memberIds, ...seen);
    const blank = learnChoiceHead(memberIds, seen[0].map(withoutStates), seen[1].map(withoutStates));
    expect(head.form.logprobRidge).toBe(blank.form.logprobRidge);
    expect(head.form.stateRidge ?? Infinity).toBeGreaterThanOrEqual(1);
    expect(shareRight(head, fresh)).toBeGreaterThan(shareRight(blank, fresh.map(withoutStates)) - 0.01);
    // What the fit items say of states is the opposite of what the others say.
    const misled = simulatedItems(60, 10, { logprobs: 1.5, states: -2 });
    const chosen = learnChoiceHead(memberIds, misled, simulatedItems(400, 11, { logprobs: 1.5, states: 2 }));
    expect(chosen.form.stateRidge).toBeNull();
  });

  it("of two members is righter than that of either where both tell something of their own", () => {
    const telling = { logprobs: 0.7, states: 1 };
    const heads = learnHeads(memberIds, simulatedItems(300, 4, telling), simulatedItems(150, 5, telling));
    const fresh = simulatedItems(1000, 6, telling);
    for (const member of heads.members) {
      expect(shareRight(heads.ensemble, fresh)).toBeGreaterThan(shareRight(member, fresh) + 0.05);
    }
  });

  it("takes the same option in whatever order the options stand", () => {
    const telling = { logprobs: 0.5, states: 0.5 };
    const head = learnChoiceHead(memberIds, simulatedItems(80, 7, telling), simulatedItems(40, 8, telling));
    for (const scored of simulatedItems(100, 9, telling)) {
      const last = scored.item.choices.length - 1;
      expect(decideByHead(head, reversed(scored).scores)).toBe(last - decideByHead(head, scored.scores));
    }
  });

  it("is the same for the same items", () => {
    const telling = { logprobs: 0.5, states: 0.5 };
    const learn = () =>
      learnChoiceHead(memberIds, simulatedItems(50, 7, telling), simulatedItems(30, 8, telling));
    const [one, other] = [learn(), learn()];
    expect(one).toEqual(other);
  });

  it("scores to the last bit the same after it was written as JSON and read again", () => {
    const telling = { logprobs: 0.5, states: 0.5 };
    const head = learnChoiceHead(memberIds, simulatedItems(80, 7, telling), simulatedItems(40, 8, telling));
    expect(head.stateWeights.map((weights) => weights.length)).toEqual([WIDTH, WIDTH]);
    const read: ChoiceHead = JSON.parse(JSON.stringify(head));
    for (const { scores } of simulatedItems(20, 9, telling)) {
      expect(headScores(read, scores)).toEqual(headScores(head, scores));
    }
  });

  it("gives the right option about the probability that its softmax says", () => {
    const telling = { logprobs: 1, states: 0 };
    const head = learnChoiceHead(
      memberIds,
      simulatedItems(600, 13, telling),
      simulatedItems(300, 14, telling),
    );
    let expected = 0;
    const fresh = simulatedItems(2000, 15, telling);
    for (const { scores } of fresh) {
      const found = headScores(head, scores);
      const top = Math.max(...found);
      expected += 1 / found.reduce((sum, score) => sum + Math.exp(score - top), 0);
    }
    expect(Math.abs(shareRight(head, fresh) - expected / fresh.length)).toBeLessThan(0.03);
  });

  it("is refused without items to choose on, and names an item without a member's scores", () => {
    const items = simulatedItems(5, 1, { logprobs: 1, states: 1 });
    expect(() => learnChoiceHead(memberIds, items, [])).toThrow(/got 5 and 0/);
    expect(() => learnChoiceHead(["a", "c"], items, items)).toThrow("0: no scores of c");
  });
});

function withoutStates({ item, scores }: ScoredItem): ScoredItem {
  const alone = scores.alone.map(({ name, tokens, logprobs }) => ({
    name,
    tokens,
    logprobs,
    states: logprobs.map(() => new Float32Array(WIDTH)),
  }));
  return { item, scores: { ...scores, alone } };
}

function reversed({ item, scores }: ScoredItem): ScoredItem {
  return {
    item: { ...item, choices: item.choices.toReversed(), label: item.choices.length - 1 - item.label },
    scores: {
      ...scores,
      bytes: scores.bytes.toReversed(),
      alone: scores.alone.map(({ name, tokens, logprobs, states }) => ({
        name,
        tokens,
        logprobs: logprobs.toReversed(),
        states: states.toReversed(),
      })),
    },
  };
}

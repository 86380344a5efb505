import { describe, expect, it } from "vitest";
import type { ChoiceDecider } from "../../src/ensemble/choice-calibration.ts";
import type { ConfidenceBook } from "../../src/ensemble/confidence.ts";
import { headFingerprint, judgeFingerprint } from "../../src/ensemble/fingerprint.ts";
import type { Likeness } from "../../src/ensemble/likeness.ts";
import { recalibrate } from "../../src/ensemble/recalibrate.ts";
import type { AnswerJudge } from "../../src/ensemble/short-answers.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { JudgedForecast } from "../../src/ports/experiments.ts";
import { calibrate, calibrateConfidence } from "../../src/stats/calibration.ts";
import { predictionSet } from "../../src/stats/conformal.ts";

const likeness: Likeness = {
  mean: new Float32Array(1),
  scale: new Float32Array(1),
  directions: new Float32Array(1),
  variances: [1],
  residual: 1,
  scores: [1],
};
const decider: ChoiceDecider = {
  head: {
    memberIds: ["a"],
    items: 10,
    form: { logprobRidge: 1, stateRidge: null },
    logprobWeights: [0.1 + 0.2, 0],
    stateWeights: [],
  },
  calibration: { kind: "identity" },
  conformal: { score: { kind: "lac" }, calibrationScores: [0.1] },
  likeness,
};
const judge: AnswerJudge = {
  memberIds: ["a"],
  weights: [0, 1],
  calibration: { kind: "identity" },
  likeness,
};
const book: ConfidenceBook = {
  choices: [{ name: "quiz", form: "text", counts: [3], items: 10, deciders: [decider] }],
  answers: [{ name: "facts", space: null, fitted: 5, calibrated: 5, judges: [judge] }],
};

/** Forecasts twice as sure, in logits, as they are right. */
async function overconfident(count: number, choices: number, seed: number): Promise<JudgedForecast[]> {
  const random = createRandom(seed);
  const by = await headFingerprint(decider.head);
  return Array.from({ length: count }, () => {
    const logits = Array.from({ length: choices }, () => random.normal());
    const raw = softmax(logits.map((logit) => 2 * logit));
    const label = drawn(softmax(logits), random.next());
    const chosen = raw.indexOf(Math.max(...raw));
    return { by, probabilities: raw, chosen, label, correct: null };
  });
}

/** The same, of which it is only said whether they were right. */
function verdicts(forecasts: readonly JudgedForecast[]): JudgedForecast[] {
  return forecasts.map((forecast) =>
    Object.assign(forecast, { correct: forecast.chosen === forecast.label, label: null }),
  );
}

function softmax(logits: readonly number[]): number[] {
  const weights = logits.map(Math.exp);
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

function drawn(probabilities: readonly number[], uniform: number): number {
  let left = uniform;
  return Math.max(
    probabilities.findIndex((p) => (left -= p) < 0),
    0,
  );
}

describe("recalibrate", () => {
  it("finds the temperature that makes overconfident forecasts right, and sets that cover", async () => {
    const found = await recalibrate(book, await overconfident(2000, 3, 1), createRandom(1));
    expect(found.rows[0]).toMatchObject({ set: "quiz", judged: 2000, changed: true });
    const again = found.book.choices[0]?.deciders[0];
    if (again === undefined) throw new Error("a decider");
    expect(again.recalibratedOn).toBe(2000);
    expect(again.head).toBe(decider.head);
    const unseen = await overconfident(2000, 3, 2);
    const told = unseen.map(({ probabilities }) => calibrate(again.calibration, probabilities));
    const sure = told.map((p) => Math.max(...p)).reduce((a, b) => a + b) / told.length;
    const right = unseen.filter(({ chosen, label }) => chosen === label).length / unseen.length;
    expect(Math.abs(sure - right)).toBeLessThan(0.03);
    const covered = unseen.filter(({ probabilities, label }) =>
      predictionSet(again.conformal, probabilities, 0.9).includes(label ?? -1),
    );
    expect(Math.abs(covered.length / unseen.length - 0.9)).toBeLessThan(0.03);
  });

  it("leaves what is calibrated already, and what too little is known of", async () => {
    const calibrated = {
      ...book,
      choices: book.choices.map((kind) => ({
        ...kind,
        deciders: [{ ...decider, calibration: { kind: "temperature" as const, temperature: 2 } }],
      })),
    };
    const few = await recalibrate(book, await overconfident(99, 3, 1), createRandom(1));
    expect(few.rows[0]).toMatchObject({ judged: 99, changed: false, before: null });
    expect(few.book).toEqual(book);
    const same = await recalibrate(calibrated, await overconfident(300, 3, 5), createRandom(1));
    expect(Math.abs((same.rows[0]?.after ?? 0) - (same.rows[0]?.before ?? 1))).toBeLessThan(0.03);
  });

  it("reads a wrong answer as the other one of two, and as nothing of three", async () => {
    const two = await recalibrate(book, verdicts(await overconfident(500, 2, 3)), createRandom(1));
    expect(two.rows[0]).toMatchObject({ judged: 500, changed: true });
    const three = await recalibrate(book, verdicts(await overconfident(500, 3, 3)), createRandom(1));
    expect(three.rows[0]).toMatchObject({ judged: 0, changed: false });
  });

  it("ignores forecasts of other heads", async () => {
    const others = (await overconfident(500, 3, 1)).map((forecast) =>
      Object.assign(forecast, { by: "other" }),
    );
    expect((await recalibrate(book, others, createRandom(1))).rows[0]?.judged).toBe(0);
  });

  it("calibrates what a judge of free answers has said", async () => {
    const by = await judgeFingerprint(judge);
    const random = createRandom(4);
    const forecasts = Array.from({ length: 2000 }, (): JudgedForecast => {
      const logit = random.normal();
      const raw = 1 / (1 + Math.exp(-2 * logit));
      const correct = random.next() < 1 / (1 + Math.exp(-logit));
      return { by, probabilities: [raw], chosen: null, label: null, correct };
    });
    const found = await recalibrate(book, forecasts, createRandom(1));
    expect(found.rows[1]).toMatchObject({ set: "facts", judged: 2000, changed: true });
    const again = found.book.answers[0]?.judges[0];
    if (again === undefined) throw new Error("a judge");
    const raw = 1 / (1 + Math.exp(-2));
    expect(calibrateConfidence(again.calibration, raw)).toBeCloseTo(1 / (1 + Math.exp(-1)), 1);
  });
});

describe("fingerprints", () => {
  it("are those of the weights as a file keeps them, and of no others", async () => {
    const { head } = decider;
    const stored = { ...head, logprobWeights: head.logprobWeights.map(Math.fround) };
    expect(await headFingerprint(stored)).toBe(await headFingerprint(head));
    expect(await headFingerprint({ ...head, memberIds: ["b"] })).not.toBe(await headFingerprint(head));
    expect(await headFingerprint({ ...head, logprobWeights: [0, 0.3] })).not.toBe(
      await headFingerprint(head),
    );
  });
});

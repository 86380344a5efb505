import { beforeEach, describe, expect, test } from "vitest";
import type {
  Experiment,
  ExperimentStore,
  Exposure,
  Feedback,
  FeedbackStore,
  FeedbackValue,
} from "../../src/ports/experiments.ts";

/** An experiment with everything in it that a store has to keep. */
export function createExperiment(changes: Partial<Experiment> = {}): Experiment {
  return {
    name: "fusion",
    description: 'Grüße, "x"; --',
    mode: "split",
    arms: [
      { name: "ensemble", model: "concord", weight: 1 },
      { name: "member", model: "gemma-3-270m", weight: 0.1 + 0.2 },
    ],
    control: "member",
    unit: "header:x-team",
    salt: "salt",
    returned: "assigned",
    defaultFor: null,
    metrics: [{ name: "correct", kind: "boolean", bounds: [0, 1], better: "higher" }],
    plan: { alpha: 0.05, units: 5000, minimumEffect: 0.01 },
    state: "running",
    createdAt: 1_750_000_000_000,
    startedAt: 1_750_000_000_001,
    stoppedAt: null,
    winner: null,
    allocations: [{ from: 1_750_000_000_001, weights: { ensemble: 1, member: 0.1 + 0.2 } }],
    ...changes,
  };
}

export function createExposure(answerId: string, changes: Partial<Exposure> = {}): Exposure {
  return {
    experiment: "fusion",
    requestId: answerId,
    answerId,
    arm: "ensemble",
    role: "returned",
    unit: answerId,
    allocation: 0,
    assignedAt: 1000,
    endedAt: 1010,
    status: "answered",
    latencyMs: 9.5,
    completionTokens: 3,
    chosen: null,
    promptCharacters: 40,
    ...changes,
  };
}

export function createFeedback(
  answerId: string,
  value: FeedbackValue = { kind: "boolean", value: true },
  changes: Partial<Feedback> = {},
): Feedback {
  return {
    id: `feedback-${changes.key ?? answerId}`,
    key: answerId,
    experiment: "fusion",
    target: { kind: "answer", answerId, requestId: answerId },
    metric: "correct",
    value,
    tags: { rater: "a" },
    at: 2000,
    ...changes,
  };
}

export interface ExperimentStores {
  readonly experiments: ExperimentStore;
  readonly feedback: FeedbackStore;
}

/** What every pair of experiment and feedback stores over one database does. `open` gives empty ones each time. */
export function describeExperimentStores(name: string, open: () => Promise<ExperimentStores>): void {
  describe(`experiment and feedback stores over ${name}`, () => {
    let experiments: ExperimentStore;
    let feedback: FeedbackStore;
    beforeEach(async () => {
      ({ experiments, feedback } = await open());
    });
    const right: FeedbackValue = { kind: "boolean", value: true };
    const wrong: FeedbackValue = { kind: "boolean", value: false };

    test("experiments come back as they were written, the newest first, and a name is given once", async () => {
      const older = createExperiment({ name: "older", createdAt: 1 });
      const newer = createExperiment({
        returned: { arm: "member" },
        mode: "paired_shadow",
        winner: "member",
      });
      expect(await experiments.create(older)).toBe(true);
      expect(await experiments.create(newer)).toBe(true);
      expect(await experiments.create({ ...newer, description: "another" })).toBe(false);
      expect(await experiments.list()).toStrictEqual([newer, older]);
    });

    test("of two who change one state only the first does", async () => {
      const running = createExperiment();
      await experiments.create(running);
      expect(await experiments.update({ ...running, state: "paused" }, "running")).toBe(true);
      expect(await experiments.update({ ...running, state: "stopped" }, "running")).toBe(false);
      expect((await experiments.list())[0]?.state).toBe("paused");
    });

    test("a draft can be removed, and what has run cannot", async () => {
      await experiments.create(createExperiment({ state: "draft" }));
      await experiments.create(createExperiment({ name: "ran" }));
      expect(await experiments.remove("fusion")).toBe(true);
      expect(await experiments.remove("ran")).toBe(false);
      expect((await experiments.list()).map((one) => one.name)).toEqual(["ran"]);
    });

    test("the exposures of a request are found by either answer's id", async () => {
      await experiments.create(createExperiment());
      const returned = createExposure("r1");
      const shadow = createExposure("r1-shadow", {
        requestId: "r1",
        arm: "member",
        role: "shadow",
        chosen: 2,
      });
      await experiments.expose(returned);
      await experiments.expose(shadow);
      await experiments.expose(createExposure("r2"));
      expect(await experiments.exposures("r1")).toStrictEqual([returned, shadow]);
      expect(await experiments.exposures("r1-shadow")).toStrictEqual([returned, shadow]);
      expect(await experiments.exposures("r3")).toEqual([]);
    });

    test("an exposure of no experiment, or of an answer that is there, is refused whole", async () => {
      await experiments.create(createExperiment());
      await expect(experiments.expose(createExposure("r1", { experiment: "none" }))).rejects.toThrow();
      await experiments.expose(createExposure("r1"));
      await expect(experiments.expose(createExposure("r1"))).rejects.toThrow();
      expect(await experiments.counts("fusion")).toMatchObject([{ answers: 1, units: 1 }]);
    });

    test("answers and distinct units are counted by arm, allocation, role and status", async () => {
      await experiments.create(createExperiment());
      const expose = (id: string, changes: Partial<Exposure>) =>
        experiments.expose(createExposure(id, changes));
      await expose("r1", { unit: "u" });
      await expose("r2", { unit: "u" });
      await expose("r3", { unit: "v", status: "failed" });
      await expose("r4", { unit: "u", arm: "member", allocation: 1 });
      await expose("r5", { unit: "w", arm: "member", role: "shadow", status: "dropped" });
      const counts = await experiments.counts("fusion");
      const by = (arm: string, role: string, status: string) =>
        counts.filter((one) => one.arm === arm && one.role === role && one.status === status);
      expect(by("ensemble", "returned", "answered")).toMatchObject([{ answers: 2, units: 1, allocation: 0 }]);
      expect(by("ensemble", "returned", "failed")).toMatchObject([{ answers: 1, units: 1 }]);
      expect(by("member", "returned", "answered")).toMatchObject([{ answers: 1, units: 0, allocation: 1 }]);
      expect(by("member", "shadow", "dropped")).toMatchObject([{ answers: 1, units: 0 }]);
    });

    test("the experiments that a unit was in are found", async () => {
      await experiments.create(createExperiment());
      await experiments.create(createExperiment({ name: "other" }));
      await experiments.expose(createExposure("r1", { unit: "u" }));
      await experiments.expose(createExposure("r2", { unit: "u" }));
      await experiments.expose(createExposure("r3", { unit: "u", experiment: "other", role: "shadow" }));
      expect(await experiments.experimentsOf("u")).toEqual(["fusion"]);
    });

    test("the same feedback twice is one", async () => {
      await experiments.create(createExperiment());
      await experiments.expose(createExposure("r1"));
      expect(await feedback.give(createFeedback("r1"), true)).toEqual({ id: "feedback-r1", outcome: "new" });
      const again = { ...createFeedback("r1"), id: "another", at: 9999 };
      expect(await feedback.give(again, true)).toEqual({ id: "feedback-r1", outcome: "same" });
      expect(await feedback.about("r1")).toStrictEqual([createFeedback("r1")]);
      expect(await experiments.judgements("fusion", "correct")).toHaveLength(1);
    });

    test("the same feedback twenty times at once is one", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => feedback.give(createFeedback("r1"), true)),
      );
      expect(outcomes.filter(({ outcome }) => outcome === "new")).toHaveLength(1);
      expect(outcomes.filter(({ outcome }) => outcome === "same")).toHaveLength(19);
    });

    test("another value under the same key replaces the first where that is allowed, and is told where not", async () => {
      await experiments.create(createExperiment());
      await experiments.expose(createExposure("r1"));
      await feedback.give(createFeedback("r1", right), true);
      expect(await feedback.give(createFeedback("r1", wrong), false)).toMatchObject({ outcome: "conflict" });
      expect(await experiments.judgements("fusion", "correct")).toMatchObject([{ value: 1 }]);
      expect(await feedback.give(createFeedback("r1", wrong, { at: 5000 }), true)).toMatchObject({
        outcome: "revised",
      });
      expect(await experiments.judgements("fusion", "correct")).toMatchObject([{ value: 0, at: 2000 }]);
    });

    test("every kind of value comes back as it was given", async () => {
      const values: FeedbackValue[] = [
        right,
        wrong,
        { kind: "number", value: -0.1 - 0.2 },
        { kind: "comment", text: 'Grüße, "x"; --' },
        { kind: "demonstration", text: "Asia", choice: null },
        { kind: "demonstration", text: "Asia", choice: 2 },
      ];
      const given = values.map((value, i) => createFeedback("r1", value, { key: `k${i}`, metric: `m${i}` }));
      for (const one of given) await feedback.give(one, false);
      expect(await feedback.about("r1")).toStrictEqual(given);
    });

    test("judgements stand in the order in which both answer and feedback were there", async () => {
      await experiments.create(createExperiment());
      await experiments.expose(createExposure("r1", { endedAt: 9000 }));
      await experiments.expose(createExposure("r2"));
      await experiments.expose(createExposure("r3", { arm: "member" }));
      await feedback.give(createFeedback("r1", right, { at: 2000 }), true);
      await feedback.give(createFeedback("r3", wrong, { at: 3000 }), true);
      await feedback.give(createFeedback("r2", right, { at: 3000 }), true);
      await feedback.give(
        createFeedback("r2", { kind: "number", value: 4 }, { metric: "stars", key: "s" }),
        true,
      );
      const judged = await experiments.judgements("fusion", "correct");
      expect(judged.map(({ requestId, arm, value, at }) => [requestId, arm, value, at])).toEqual([
        ["r3", "member", 0, 3000],
        ["r2", "ensemble", 1, 3000],
        ["r1", "ensemble", 1, 9000],
      ]);
      expect(await experiments.judgements("fusion", "stars")).toMatchObject([{ value: 4 }]);
    });

    test("one demonstration judges every arm's choice, whenever the answers come", async () => {
      await experiments.create(createExperiment({ mode: "paired_shadow" }));
      await experiments.expose(createExposure("r1", { chosen: 0 }));
      const shown = createFeedback(
        "r1",
        { kind: "demonstration", text: "b", choice: 1 },
        { metric: "demonstration" },
      );
      await feedback.give(shown, true);
      await feedback.give(createFeedback("r1", right, { key: "k" }), true);
      await experiments.expose(
        createExposure("r1-s", { requestId: "r1", arm: "member", role: "shadow", chosen: 1, endedAt: 7000 }),
      );
      const judged = await experiments.judgements("fusion", "correct");
      expect(judged.map(({ arm, value, at }) => [arm, value, at])).toEqual([
        ["ensemble", 0, 2000],
        ["member", 1, 7000],
      ]);
    });

    test("a unit that changed arms is judged in its first", async () => {
      await experiments.create(createExperiment());
      await experiments.expose(createExposure("r1", { unit: "u" }));
      await experiments.expose(createExposure("r2", { unit: "u", arm: "member", allocation: 1 }));
      await feedback.give(createFeedback("r1"), true);
      await feedback.give(createFeedback("r2"), true);
      await feedback.give(createFeedback("", wrong, { key: "k", target: { kind: "unit", unit: "u" } }), true);
      const judged = await experiments.judgements("fusion", "correct");
      expect(judged.map(({ requestId, arm, value }) => [requestId, arm, value])).toEqual([
        ["r1", "ensemble", 1],
        [null, "ensemble", 0],
      ]);
    });

    test("judgements of more answers than are read at once are all there", async () => {
      await experiments.create(createExperiment());
      const ids = Array.from({ length: 200 }, (_, i) => `r${i}`);
      for (const id of ids) {
        await experiments.expose(createExposure(id, { chosen: 0 }));
        await feedback.give(
          createFeedback(id, { kind: "demonstration", text: "a", choice: 0 }, { metric: "demonstration" }),
          true,
        );
      }
      expect(await experiments.judgements("fusion", "correct")).toHaveLength(200);
    });

    test("what can be judged comes back, probabilities as float32", async () => {
      const answer = {
        answerId: "r1",
        requestId: "r1",
        at: 5,
        choices: ["a", "b"],
        chosen: 1,
        forecast: { by: "head", probabilities: [0.25, 0.75] },
      };
      const free = { answerId: "r2", requestId: "r2", at: 6, choices: [], chosen: null, forecast: null };
      await feedback.remember(answer);
      await feedback.remember(free);
      expect(await feedback.judgeable("r1")).toStrictEqual(answer);
      expect(await feedback.judgeable("r2")).toStrictEqual(free);
      expect(await feedback.judgeable("r3")).toBeNull();
      expect(await feedback.forecastCounts()).toEqual(new Map([["head", 1]]));
    });

    test("forecasts are joined with what was said last, a demonstration with every answer to its request", async () => {
      const forecast = { by: "head", probabilities: [0.25, 0.75] };
      const answer = { requestId: "r1", at: 5, choices: ["a", "b"], forecast };
      await feedback.remember({ ...answer, answerId: "r1", chosen: 1 });
      await feedback.remember({ ...answer, answerId: "r1-s", chosen: 0 });
      await feedback.remember({ ...answer, answerId: "r2", requestId: "r2", chosen: 1 });
      await feedback.remember({ ...answer, answerId: "r3", requestId: "r3", chosen: 1 });
      const shown: FeedbackValue = { kind: "demonstration", text: "b", choice: 1 };
      await feedback.give(createFeedback("r1", shown, { metric: "demonstration", experiment: null }), true);
      await feedback.give(createFeedback("r2", right, { experiment: null }), true);
      await feedback.give(createFeedback("r2", wrong, { key: "k", experiment: null }), true);
      expect(await feedback.judgedForecasts()).toEqual([
        { ...forecast, chosen: 1, label: 1, correct: null },
        { ...forecast, chosen: 0, label: 1, correct: null },
        { ...forecast, chosen: 1, label: null, correct: false },
      ]);
    });

    test("without kept texts feedback gives no examples", async () => {
      await feedback.give(createFeedback("r1"), true);
      expect(await feedback.examples("correct")).toEqual([]);
    });
  });
}

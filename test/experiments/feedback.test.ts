import { describe, expect, it } from "vitest";
import type { FeedbackRequest } from "../../src/experiments/feedback.ts";
import { choiceHash } from "../../src/experiments/hash.ts";
import { ask, by, endOf, MEMBER, openTestExperiments, running } from "./harness.ts";

const choices = ["yes", "no"].map((value) => ({ value, text: value }));
const never = new AbortController().signal;

function say(
  metric: string,
  value: FeedbackRequest["value"],
  requestId: string,
  id?: string,
): FeedbackRequest {
  return { metric, value, about: { requestId }, id, tags: {}, dryRun: false };
}

describe("feedback", () => {
  it("sent twice counts once, and another value corrects the first", async () => {
    const { engine, desk, experiments } = await running();
    await endOf(engine.answer(ask("r1")));
    const first = await desk.give(say("stars", 4, "r1"));
    expect(first).toMatchObject({ outcome: "new", experiments: ["fusion"] });
    expect(await desk.give(say("stars", 4, "r1"))).toEqual({ ...first, outcome: "same" });
    expect(await desk.give(say("stars", 2, "r1"))).toEqual({ ...first, outcome: "revised" });
    const [observation, ...others] = await experiments.observations("fusion", "stars");
    expect(Object.values(observation?.values ?? {})).toEqual([2]);
    expect(others).toEqual([]);
  });

  it("under an id of its own counts once, and the id cannot mean something else", async () => {
    const { engine, desk, experiments } = await running();
    await endOf(engine.answer(ask("r1")));
    await desk.give(say("stars", 4, "r1", "a"));
    expect(await desk.give(say("stars", 4, "r1", "a"))).toMatchObject({ outcome: "same" });
    await expect(desk.give(say("stars", 5, "r1", "a"))).rejects.toMatchObject({
      code: "conflict",
      param: "id",
    });
    await desk.give(say("stars", 2, "r1", "b"));
    const [observation] = await experiments.observations("fusion", "stars");
    expect(observation).toMatchObject({ judged: 2 });
    expect(Object.values(observation?.values ?? {})).toEqual([3]);
  });

  it("on an unknown answer is not found", async () => {
    const { desk } = await running();
    await expect(desk.give(say("correct", true, "r9"))).rejects.toMatchObject({
      code: "not_found",
      param: "request_id",
    });
  });

  it("on an answer outside experiments may be right or wrong, a comment or a demonstration", async () => {
    const { desk, logged, feedback } = await openTestExperiments();
    logged.set("r1", null);
    expect(await desk.give(say("correct", false, "r1"))).toMatchObject({ outcome: "new", experiments: [] });
    await desk.give(say("comment", "meh", "r1"));
    await desk.give(say("comment", "meh", "r1"));
    await desk.give(say("comment", "good", "r1"));
    expect((await feedback.about("r1")).map(({ metric }) => metric)).toEqual([
      "correct",
      "comment",
      "comment",
    ]);
    await expect(desk.give(say("stars", 3, "r1"))).rejects.toMatchObject({
      code: "invalid_request",
      message: "metric_name: expected one of correct, comment, demonstration for this answer, got stars.",
    });
  });

  it("on whether an answer with a confidence was right is told, once", async () => {
    const { desk, logged, judged, feedback } = await openTestExperiments();
    logged.set("r1", { value: 0.75, kind: "short_answer" });
    logged.set("r2", { value: 0.5, kind: "choice" });
    logged.set("r3", null);
    await desk.give(say("comment", "well", "r1"));
    await desk.give(say("correct", true, "r1"));
    await desk.give(say("correct", true, "r1"));
    await desk.give(say("correct", false, "r3"));
    const hashes = await Promise.all(["yes", "no"].map(choiceHash));
    await feedback.remember({
      answerId: "r2",
      requestId: "r2",
      at: 1,
      choices: hashes,
      chosen: 0,
      forecast: null,
    });
    await desk.give(say("demonstration", "no", "r2"));
    expect(judged).toEqual([
      { confidence: 0.75, correct: true },
      { confidence: 0.5, correct: false },
    ]);
  });

  it.each([
    ["stars", 6, /a number from 1 to 5/],
    ["stars", true, /a number from 1 to 5/],
    ["correct", 1, /true or false/],
    ["correct", "yes", /true or false/],
    ["comment", 3, /a text/],
    ["demonstration", "", /a text/],
    ["demonstration", "maybe", /one of the 2 choices/],
  ])("of %s as %s is refused", async (metric, value, message) => {
    const { engine, desk } = await running();
    await endOf(engine.answer(ask("r1", { choices })));
    await expect(desk.give(say(metric, value, "r1"))).rejects.toThrow(message);
  });

  it("that demonstrates the right choice judges both answers of a pair, the later one too", async () => {
    const { engine, desk, experiments } = await running({
      mode: "paired_shadow",
      returned: { arm: "member" },
    });
    await endOf(engine.answer(ask("r1", { choices })));
    await desk.give(say("demonstration", "no", "r1"));
    await engine.drain(never);
    expect(await experiments.observations("fusion", "correct")).toMatchObject([
      { values: { ensemble: 0, member: 0 }, judged: 1 },
    ]);
  });

  it("on one answer of a pair is no sample until the other has some", async () => {
    const { engine, desk, experiments } = await running({ mode: "paired_shadow" });
    const { experiment } = await endOf(engine.answer(ask("r1")));
    await engine.drain(never);
    await desk.give(say("stars", 5, "r1"));
    expect(await experiments.observations("fusion", "stars")).toEqual([]);
    await desk.give(say("stars", 2, "r1-shadow"));
    const [pair] = await experiments.observations("fusion", "stars");
    expect(pair?.values).toMatchObject({ [experiment?.arm ?? ""]: 5 });
  });

  it("about a user is of the arm that the user is in, and of nobody that is not known", async () => {
    const { engine, desk, experiments } = await running({ unit: "user" });
    const { experiment } = await endOf(engine.answer(ask("r1", by("ann"))));
    const about = { user: "ann" };
    await desk.give({ metric: "stars", value: 4, about, tags: {}, dryRun: false });
    expect(await experiments.observations("fusion", "stars")).toMatchObject([
      { values: { [experiment?.arm ?? ""]: 4 } },
    ]);
    await expect(
      desk.give({ metric: "stars", value: 4, about: { user: "bob" }, tags: {}, dryRun: false }),
    ).rejects.toMatchObject({ code: "not_found", param: "user" });
  });

  it("makes one sample of one user's many requests, worth their mean", async () => {
    const { engine, desk, experiments } = await running({ unit: "user" });
    for (const [id, stars] of [
      ["r1", 1],
      ["r2", 2],
      ["r3", 3],
    ] as const) {
      await endOf(engine.answer(ask(id, by("ann"))));
      await desk.give(say("stars", stars, id));
    }
    const observations = await experiments.observations("fusion", "stars");
    expect(observations).toHaveLength(1);
    expect(Object.values(observations[0]?.values ?? {})).toEqual([2]);
    expect(observations[0]?.covariate).toBeCloseTo(Math.log1p(6), 12);
  });

  it("that is only tried is checked and not kept", async () => {
    const { engine, desk, feedback } = await running();
    await endOf(engine.answer(ask("r1")));
    expect(await desk.give({ ...say("stars", 4, "r1"), dryRun: true })).toMatchObject({ outcome: "checked" });
    await expect(desk.give({ ...say("stars", 9, "r1"), dryRun: true })).rejects.toThrow(/from 1 to 5/);
    expect(await feedback.about("r1")).toEqual([]);
  });

  it("joins forecasts of answers outside experiments", async () => {
    const forecast = { by: "head", probabilities: [0.75, 0.25] };
    const { engine, desk, feedback, logged } = await openTestExperiments(async function* sure(question) {
      yield {
        type: "end",
        finishReason: "stop",
        usage: { promptTokens: 1, completionTokens: 1 },
        report: {
          requestId: question.requestId,
          answeredBy: question.model,
          agreement: { positions: 0, jsDivergence: null, top1Agreement: null, stateDistance: null },
          members: [],
          bitsPerByte: null,
          entropy: null,
        },
        confidence: { value: null, reason: "scripted" },
        choices: { chosen: 0, probabilities: [0.75, 0.25], predictionSet: null },
        forecast,
      };
    });
    logged.set("r1", null);
    await endOf(engine.answer(ask("r1", { choices, model: MEMBER })));
    await desk.give(say("demonstration", "no", "r1"));
    expect(await feedback.judgedForecasts()).toEqual([{ ...forecast, chosen: 0, label: 1, correct: null }]);
  });
});

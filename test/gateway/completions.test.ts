import { describe, expect, test } from "vitest";
import { createScriptedEngine, ending, scored } from "../scripted-engine.ts";
import { errorOf, eventsOf, post, testGateway } from "./harness.ts";

const path = "/v1/completions";
const ask = { model: "concord", prompt: "Say it" };

describe("a whole completion", () => {
  test("has OpenAI's shape and the object concord", async () => {
    const answer = await post(testGateway(), path, ask);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toEqual({
      id: "cmpl-1",
      object: "text_completion",
      created: 1_750_000_000,
      model: "concord",
      choices: [{ index: 0, text: " Hi there", logprobs: null, finish_reason: "stop" }],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 2,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 0 },
      },
      concord: expect.objectContaining({ request_id: "cmpl-1", bits_per_byte: 1.25 }),
    });
  });

  test("says who answered in the ensemble's place, and why", async () => {
    const notFused = "the anchor needs 2.00 times the tokens";
    const engine = createScriptedEngine(function* (question) {
      const end = ending(question);
      if (end.type === "end")
        yield { ...end, report: { ...end.report, answeredBy: "gemma-3-270m", notFused } };
    });
    const whole = JSON.parse((await post(testGateway({ engine }), path, ask)).text);
    expect(whole.model).toBe("concord");
    expect(whole.concord).toMatchObject({ answered_by: "gemma-3-270m", not_fused: notFused });
    const streamed = eventsOf((await post(testGateway({ engine }), path, { ...ask, stream: true })).text);
    expect(streamed).toContainEqual(
      expect.objectContaining({
        concord: expect.objectContaining({ answered_by: "gemma-3-270m", not_fused: notFused }),
      }),
    );
  });

  test("that went on without a member is marked, whole and streamed", async () => {
    const lost = { position: 3, reason: "gemma-3-270m: no answer within 20000 ms" };
    const engine = createScriptedEngine(function* (question) {
      const end = ending(question);
      if (end.type !== "end") return;
      const [first, ...others] = end.report.members;
      if (first) yield { ...end, report: { ...end.report, members: [{ ...first, lost }, ...others] } };
    });
    const degraded = { lost: [{ id: "smollm2-135m-instruct", ...lost }] };
    const whole = await post(testGateway({ engine }), path, ask);
    expect([whole.status, JSON.parse(whole.text).concord.degraded]).toEqual([200, degraded]);
    const streamed = eventsOf((await post(testGateway({ engine }), path, { ...ask, stream: true })).text);
    expect(streamed).toContainEqual(
      expect.objectContaining({ concord: expect.objectContaining({ degraded }) }),
    );
    const sound = await post(testGateway(), path, ask);
    expect(JSON.parse(sound.text).concord).not.toHaveProperty("degraded");
  });

  test("with echo begins with the prompt, whose tokens are scored too", async () => {
    const answer = await post(testGateway(), path, { ...ask, echo: true, logprobs: 2 });
    expect(JSON.parse(answer.text).choices).toEqual([
      {
        index: 0,
        text: "Say it Hi there",
        finish_reason: "stop",
        logprobs: {
          tokens: ["Say", " it", " Hi", " there"],
          token_logprobs: [null, -1, -0.5, -2],
          top_logprobs: [
            null,
            { " so": -0.25, " it": -1 },
            { " Hi": -0.5, " Yo": -1.5 },
            { " you": -0.75, " all": -9999, " there": -2 },
          ],
          text_offset: [0, 3, 6, 9],
        },
      },
    ]);
  });

  test("counts text offsets in characters; a token inside a character has that character's offset", async () => {
    const [first = 0, ...rest] = new TextEncoder().encode("😀");
    const tokens = [scored("é"), scored([first]), scored(rest), scored("x"), scored([0x82]), scored("y")];
    const engine = createScriptedEngine(function* (question) {
      yield { type: "delta", text: "é😀x\u{fffd}y", tokens };
      yield ending(question);
    });
    const whole = await post(testGateway({ engine }), path, { ...ask, logprobs: 0 });
    expect(JSON.parse(whole.text).choices[0].logprobs.text_offset).toEqual([0, 1, 1, 2, 3, 4]);
  });

  test("of several prompts has a choice for each, in order, each with its own report", async () => {
    const engine = createScriptedEngine();
    const answer = await post(testGateway({ engine }), path, { ...ask, prompt: ["a", [1, 2], "c"] });
    const body = JSON.parse(answer.text);
    expect(body.choices.map((choice: { index: number }) => choice.index)).toEqual([0, 1, 2]);
    expect(
      body.choices.map((choice: { concord: { request_id: string } }) => choice.concord.request_id),
    ).toEqual(["cmpl-1-0", "cmpl-1-1", "cmpl-1-2"]);
    expect(body.concord).toBeUndefined();
    expect(body.usage).toEqual({
      prompt_tokens_details: { cached_tokens: 0 },
      prompt_tokens: 9,
      completion_tokens: 6,
      total_tokens: 15,
    });
    expect(engine.questions.map((question) => question.prompt)).toEqual([
      { kind: "text", text: "a" },
      { kind: "tokens", tokens: [1, 2] },
      { kind: "text", text: "c" },
    ]);
  });

  test("of one prompt in an array is the same as of the prompt alone", async () => {
    const alone = await post(testGateway(), path, ask);
    const inArray = await post(testGateway(), path, { ...ask, prompt: ["Say it"] });
    expect(inArray.text).toBe(alone.text);
  });
});

describe("the question that a completion request becomes", () => {
  test("has at most 16 tokens by default, and 0 with echo when asked", async () => {
    const engine = createScriptedEngine();
    const app = testGateway({ engine });
    await post(app, path, ask);
    await post(app, path, { ...ask, echo: true, max_tokens: 0, logprobs: 1 });
    expect(engine.questions[0]).toMatchObject({ maxTokens: 16, echo: false, topLogprobs: null });
    expect(engine.questions[1]).toMatchObject({ maxTokens: 0, echo: true, topLogprobs: 1 });
  });

  test("reads one array of numbers as one prompt of tokens", async () => {
    const engine = createScriptedEngine();
    await post(testGateway({ engine }), path, { ...ask, prompt: [5, 6, 7] });
    expect(engine.questions.map((question) => question.prompt)).toEqual([
      { kind: "tokens", tokens: [5, 6, 7] },
    ]);
  });
});

describe("a streamed completion", () => {
  const head = { id: "cmpl-1", object: "text_completion", created: 1_750_000_000, model: "concord" };

  test("is the prompt when echoed, the text as it comes, the finish with concord, [DONE]", async () => {
    const answer = await post(testGateway(), path, { ...ask, stream: true, echo: true });
    const piece = (text: string) => ({
      ...head,
      choices: [{ index: 0, text, logprobs: null, finish_reason: null }],
    });
    expect(eventsOf(answer.text)).toEqual([
      piece("Say it"),
      piece(" Hi"),
      piece(" there"),
      {
        ...head,
        choices: [{ index: 0, text: "", logprobs: null, finish_reason: "stop" }],
        concord: expect.objectContaining({ request_id: "cmpl-1" }),
      },
      "[DONE]",
    ]);
  });

  test("goes on counting text offsets from chunk to chunk", async () => {
    const answer = await post(testGateway(), path, { ...ask, stream: true, echo: true, logprobs: 1 });
    const offsets = eventsOf(answer.text).flatMap((event) =>
      typeof event === "string"
        ? []
        : ((event as { choices: { logprobs: { text_offset: number[] } | null }[] }).choices[0]?.logprobs
            ?.text_offset ?? []),
    );
    expect(offsets).toEqual([0, 3, 6, 9]);
  });

  test("of several prompts streams choice after choice, and one usage over all", async () => {
    const answer = await post(testGateway(), path, {
      ...ask,
      prompt: ["a", "b"],
      stream: true,
      stream_options: { include_usage: true },
    });
    const events = eventsOf(answer.text) as {
      choices: { index: number; concord?: object }[];
      usage?: unknown;
    }[];
    const choices = events.flatMap((event) => event.choices ?? []);
    expect(choices.map((choice) => choice.index)).toEqual([0, 0, 0, 1, 1, 1]);
    expect(choices.filter((choice) => choice.concord !== undefined).map((choice) => choice.index)).toEqual([
      0, 1,
    ]);
    expect(events.at(-2)?.usage).toEqual({
      prompt_tokens_details: { cached_tokens: 0 },
      prompt_tokens: 6,
      completion_tokens: 4,
      total_tokens: 10,
    });
  });
});

describe("a completion request is refused", () => {
  test.each([
    ["without a prompt", { model: "concord" }, "prompt", /prompt is missing: expected a string/],
    ["with an empty array", { ...ask, prompt: [] }, "prompt", /got an empty array/],
    ["with a broken token id", { ...ask, prompt: [1, 2, -3] }, "prompt[2]", /a token id .*got -3/],
    ["with mixed prompts", { ...ask, prompt: ["a", 1] }, "prompt[1]", /got 1/],
    [
      "with an empty token prompt",
      { ...ask, prompt: [[1], []] },
      "prompt[1]",
      /not empty, got an empty array/,
    ],
    ["with a lone surrogate", { ...ask, prompt: "a\ud800" }, "prompt", /surrogate/],
    ["with 0 tokens and no echo", { ...ask, max_tokens: 0 }, "max_tokens", /echo/],
    ["with too many log-probabilities", { ...ask, logprobs: 21 }, "logprobs", /from 0 to 20, got 21/],
    ["with a suffix", { ...ask, suffix: "end" }, "suffix", /not supported/],
    ["with best_of", { ...ask, best_of: 2 }, "best_of", /not supported/],
    ["with more prompts than fit", { ...ask, prompt: Array(257).fill("a") }, "prompt", /1 to 256/],
  ])("%s", async (_, body, param, message) => {
    const answer = await post(testGateway(), path, body);
    expect(answer.status).toBe(400);
    const error = errorOf(answer.text);
    expect(error.param).toBe(param);
    expect(error.message).toMatch(message);
  });
});

import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import { createScriptedEngine, ending, endless, failing, scored } from "../scripted-engine.ts";
import { errorOf, eventsOf, post, testGateway } from "./harness.ts";

const path = "/v1/chat/completions";
const ask = { model: "concord", messages: [{ role: "user", content: "Hi" }] };

const concord = {
  request_id: "chatcmpl-1",
  answered_by: "concord",
  confidence: null,
  confidence_reason: "scripted",
  agreement: { positions: 2, js_divergence: 0.25, top1_agreement: 0.5, state_distance: 0.75 },
  members: [
    {
      id: "smollm2-135m-instruct",
      weight: 0.5,
      bits_per_byte: 1.5,
      top1_agreement: 1,
      entropy: 2,
      latency_ms: 12,
    },
    {
      id: "gemma-3-270m",
      weight: 0.5,
      bits_per_byte: null,
      top1_agreement: null,
      entropy: null,
      latency_ms: 7,
      abstained: { positions: 1, reason: "scripted" },
    },
  ],
  bits_per_byte: 1.25,
  entropy: 1.75,
};

describe("a whole chat completion", () => {
  test("has OpenAI's shape and the object concord", async () => {
    const answer = await post(testGateway(), path, ask);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-request-id")).toBe("chatcmpl-1");
    expect(JSON.parse(answer.text)).toEqual({
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1_750_000_000,
      model: "concord",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: " Hi there", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 2,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 0 },
      },
      concord,
    });
  });

  test("has token, bytes and alternatives when log-probabilities are asked for", async () => {
    const answer = await post(testGateway(), path, { ...ask, logprobs: true, top_logprobs: 2 });
    expect(JSON.parse(answer.text).choices[0].logprobs).toEqual({
      content: [
        {
          token: " Hi",
          logprob: -0.5,
          bytes: [32, 72, 105],
          top_logprobs: [
            { token: " Hi", logprob: -0.5, bytes: [32, 72, 105] },
            { token: " Yo", logprob: -1.5, bytes: [32, 89, 111] },
          ],
        },
        {
          token: " there",
          logprob: -2,
          bytes: [32, 116, 104, 101, 114, 101],
          top_logprobs: [
            { token: " you", logprob: -0.75, bytes: [32, 121, 111, 117] },
            { token: " all", logprob: -9999, bytes: [32, 97, 108, 108] },
          ],
        },
      ],
      refusal: null,
    });
  });

  test("shows a token that is a part of a character by its bytes", async () => {
    const engine = createScriptedEngine(function* (question) {
      yield { type: "delta", text: "", tokens: [scored([0xe2, 0x82])] };
      yield { type: "delta", text: "€", tokens: [scored([0xac])] };
      yield ending(question);
    });
    const answer = await post(testGateway({ engine }), path, { ...ask, logprobs: true });
    const { message, logprobs } = JSON.parse(answer.text).choices[0];
    expect(message.content).toBe("€");
    expect(logprobs.content.map((score: { token: string }) => score.token)).toEqual([
      "bytes:\\xe2\\x82",
      "bytes:\\xac",
    ]);
  });
});

describe("the question that a chat request becomes", () => {
  test("has OpenAI's defaults", async () => {
    const engine = createScriptedEngine();
    await post(testGateway({ engine }), path, ask);
    expect(engine.questions[0]).toEqual({
      requestId: "chatcmpl-1",
      model: "concord",
      endpoint: "chat.completions",
      prompt: { kind: "chat", messages: [{ role: "user", content: "Hi" }] },
      maxTokens: null,
      stop: [],
      sampling: {
        temperature: 1,
        topP: 1,
        topK: 0,
        minP: 0,
        frequencyPenalty: 0,
        presencePenalty: 0,
        logitBias: new Map(),
        seed: null,
      },
      topLogprobs: null,
      echo: false,
      caller: { user: null, header: expect.any(Function) },
      signal: expect.any(AbortSignal),
    });
  });

  test("carries every field that was given", async () => {
    const engine = createScriptedEngine();
    await post(testGateway({ engine }), path, {
      ...ask,
      messages: [
        { role: "developer", content: "Be short." },
        {
          role: "user",
          content: [
            { type: "text", text: "One" },
            { type: "text", text: "Two" },
          ],
        },
        { role: "assistant", content: "Three", refusal: null, tool_calls: [], annotations: [] },
      ],
      max_completion_tokens: 7,
      stop: "\n",
      temperature: 0,
      top_p: 0.5,
      top_k: -1,
      min_p: 0.1,
      frequency_penalty: -2,
      presence_penalty: 2,
      logit_bias: { "5": -100, "6": 1.5 },
      seed: -3,
      logprobs: true,
      top_logprobs: 20,
    });
    expect(engine.questions[0]).toMatchObject({
      prompt: {
        messages: [
          { role: "system", content: "Be short." },
          { role: "user", content: "One\nTwo" },
          { role: "assistant", content: "Three" },
        ],
      },
      maxTokens: 7,
      stop: ["\n"],
      sampling: {
        temperature: 0,
        topP: 0.5,
        topK: 0,
        minP: 0.1,
        frequencyPenalty: -2,
        presencePenalty: 2,
        logitBias: new Map([
          [5, -100],
          [6, 1.5],
        ]),
        seed: -3,
      },
      topLogprobs: 20,
    });
  });

  test("is the same with fields that are null, neutral or without effect", async () => {
    const engine = createScriptedEngine();
    const answer = await post(testGateway({ engine }), path, {
      ...ask,
      user: "u",
      metadata: { a: "b" },
      store: false,
      service_tier: "auto",
      parallel_tool_calls: true,
      n: 1,
      tools: [],
      tool_choice: "auto",
      functions: null,
      response_format: { type: "text" },
      modalities: ["text"],
      audio: null,
      stop: null,
      seed: null,
      temperature: null,
      logit_bias: null,
      repetition_penalty: 1.0,
    });
    expect(answer.status).toBe(200);
    expect(engine.questions[0]?.sampling.temperature).toBe(1);
  });
});

const head = {
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_750_000_000,
  model: "concord",
};
const choice = (delta: object, finish_reason: string | null = null) => [
  { index: 0, delta, logprobs: null, finish_reason },
];

describe("a streamed chat completion", () => {
  test("is role, deltas, finish with concord, [DONE]", async () => {
    const answer = await post(testGateway(), path, { ...ask, stream: true });
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(answer.headers.get("cache-control")).toBe("no-cache");
    expect(answer.headers.get("x-accel-buffering")).toBe("no");
    expect(answer.headers.get("x-request-id")).toBe("chatcmpl-1");
    expect(eventsOf(answer.text)).toEqual([
      { ...head, choices: choice({ role: "assistant", content: "", refusal: null }) },
      { ...head, choices: choice({ content: " Hi" }) },
      { ...head, choices: choice({ content: " there" }) },
      { ...head, choices: choice({}, "stop"), concord },
      "[DONE]",
    ]);
  });

  test("ends with a usage chunk without choices when it was asked for", async () => {
    const answer = await post(testGateway(), path, {
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    });
    const events = eventsOf(answer.text);
    expect(events[0]).toMatchObject({ usage: null });
    expect(events.at(-2)).toEqual({
      ...head,
      choices: [],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 2,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
    expect(events.at(-1)).toBe("[DONE]");
  });

  test("carries the log-probabilities of every token, also of those that made no text yet", async () => {
    const engine = createScriptedEngine(function* (question) {
      yield { type: "delta", text: "", tokens: [scored([0xe2, 0x82])] };
      yield { type: "delta", text: "€", tokens: [scored([0xac])] };
      yield ending(question);
    });
    const answer = await post(testGateway({ engine }), path, { ...ask, stream: true, logprobs: true });
    const scores = eventsOf(answer.text).flatMap((event) =>
      typeof event === "string"
        ? []
        : ((event as { choices: { logprobs: { content: { bytes: number[] }[] } | null }[] }).choices[0]
            ?.logprobs?.content ?? []),
    );
    expect(scores.map((score) => score.bytes)).toEqual([[0xe2, 0x82], [0xac]]);
  });

  test("that fails midway ends with OpenAI's error object and no [DONE]", async () => {
    const engine = createScriptedEngine(function* () {
      yield { type: "delta", text: "Half", tokens: [scored("Half")] };
      throw new GatewayError("members_lost", "Every member was lost.");
    });
    const answer = await post(testGateway({ engine }), path, { ...ask, stream: true });
    expect(answer.status).toBe(200);
    expect(eventsOf(answer.text).at(-1)).toEqual({
      error: { message: "Every member was lost.", type: "server_error", param: null, code: "members_lost" },
    });
    expect(answer.text).not.toContain("[DONE]");
  });

  test("that fails before its first event is an HTTP error", async () => {
    const engine = createScriptedEngine(
      failing(
        new GatewayError("context_length_exceeded", "2100 tokens do not fit 2048.", {
          param: "messages",
        }),
      ),
    );
    const answer = await post(testGateway({ engine }), path, { ...ask, stream: true });
    expect(answer.status).toBe(400);
    expect(errorOf(answer.text)).toEqual({
      message: "2100 tokens do not fit 2048.",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    });
  });

  test("of an engine that stops without an end is cut visibly", async () => {
    const engine = createScriptedEngine(function* () {
      yield { type: "delta", text: "Half", tokens: [scored("Half")] };
    });
    const answer = await post(testGateway({ engine }), path, { ...ask, stream: true });
    expect(eventsOf(answer.text).at(-1)).toMatchObject({ error: { code: "internal_error" } });
    expect(answer.text).not.toContain("[DONE]");
  });

  test("whose reader cancels aborts the question", async () => {
    const engine = createScriptedEngine((question) => endless(question));
    const response = await testGateway({ engine }).request(path, {
      method: "POST",
      body: JSON.stringify({ ...ask, stream: true }),
    });
    const reader = response.body?.getReader();
    await reader?.read();
    expect(engine.questions[0]?.signal?.aborted).toBe(false);
    await reader?.cancel();
    await expect.poll(() => engine.questions[0]?.signal?.aborted).toBe(true);
  });
});

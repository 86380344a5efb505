import { describe, expect, test } from "vitest";
import { createScriptedEngine, failing } from "../scripted-engine.ts";
import { errorOf, post, testGateway } from "./harness.ts";

const path = "/v1/chat/completions";
const ask = { model: "concord", messages: [{ role: "user", content: "Hi" }] };
const withContent = (content: unknown) => ({ ...ask, messages: [{ role: "user", content }] });

describe("a request is refused in one plain sentence that names the field", () => {
  test.each<[object, string, string]>([
    [{ ...ask, temperature: 3 }, "temperature", "temperature: expected a number from 0 to 2, got 3."],
    [{ ...ask, temperature: "hot" }, "temperature", 'temperature: expected a number from 0 to 2, got "hot".'],
    [{ ...ask, top_p: 1.1 }, "top_p", "top_p: expected a number from 0 to 1, got 1.1."],
    [{ ...ask, max_tokens: -1 }, "max_tokens", "max_tokens: expected a whole number, at least 1, got -1."],
    [{ ...ask, max_tokens: 1.5 }, "max_tokens", "max_tokens: expected a whole number, at least 1, got 1.5."],
    [
      { ...ask, max_tokens: 1, max_completion_tokens: 2 },
      "max_tokens",
      "max_tokens: expected one limit, got 1 beside max_completion_tokens 2. Leave one out.",
    ],
    [{ ...ask, stream: "yes" }, "stream", 'stream: expected true or false, got "yes".'],
    [
      { ...ask, stream_options: { include_usage: true } },
      "stream_options",
      "stream_options: expected stream to be true beside it. Set stream, or leave it out.",
    ],
    [
      { ...ask, stream: true, stream_options: { usage: true } },
      "stream_options.usage",
      "Unrecognized request argument: stream_options.usage. Remove it.",
    ],
    [
      { ...ask, top_logprobs: 2 },
      "top_logprobs",
      "top_logprobs: expected logprobs to be true beside it. Set logprobs, or leave it out.",
    ],
    [
      { ...ask, stop: ["a", "b", "c", "d", "e"] },
      "stop",
      "stop: expected a string that is not empty, or an array of 1 to 4 of them, got an array of 5.",
    ],
    [{ ...ask, stop: ["a", ""] }, "stop[1]", 'stop[1]: expected a string that is not empty, got "".'],
    [
      { ...ask, logit_bias: { "5": 101 } },
      "logit_bias.5",
      "logit_bias.5: expected a number from -100 to 100, got 101.",
    ],
    [
      { ...ask, logit_bias: { hello: 1 } },
      "logit_bias",
      'logit_bias: expected every key to be a token id, got "hello".',
    ],
    [
      { messages: ask.messages },
      "model",
      "model is missing: expected the name of a model; GET /v1/models lists them.",
    ],
    [{ model: "concord" }, "messages", "messages is missing: expected an array of 1 to 2048 messages."],
    [
      { ...ask, messages: [] },
      "messages",
      "messages: expected an array of 1 to 2048 messages, got an empty array.",
    ],
    [
      { ...ask, messages: ["Hi"] },
      "messages[0]",
      'messages[0]: expected an object with role and content, got "Hi".',
    ],
    [
      { ...ask, messages: [{ role: "tool", content: "Hi" }] },
      "messages[0].role",
      'messages[0].role: expected "system", "developer", "user" or "assistant", got "tool".',
    ],
    [
      withContent([
        { type: "text", text: "a" },
        { type: "image_url", image_url: { url: "x" } },
      ]),
      "messages[0].content[1].type",
      'messages[0].content[1].type: expected "text", the only kind of part that the members read, got "image_url".',
    ],
    [
      withContent([]),
      "messages[0].content",
      "messages[0].content: expected a string or an array of 1 to 128 text parts, got an empty array.",
    ],
    [
      withContent(7),
      "messages[0].content",
      "messages[0].content: expected a string or an array of 1 to 128 text parts, got 7.",
    ],
    [
      withContent("\ud800"),
      "messages[0].content",
      'messages[0].content: expected a string of whole characters (no lone surrogates), got "\\ud800".',
    ],
    [
      { ...ask, messages: [{ role: "assistant", content: "", tool_calls: [{}] }] },
      "messages[0].tool_calls",
      "messages[0].tool_calls: expected nothing here: tool calls are not read, got an array of 1.",
    ],
    [
      { ...ask, messages: [{ role: "user", content: "", mood: "glad" }] },
      "messages[0].mood",
      "Unrecognized request argument: messages[0].mood. Remove it.",
    ],
    [{ ...ask, temprature: 1 }, "temprature", "Unrecognized request argument: temprature. Remove it."],
  ])("%j", async (body, param, message) => {
    const answer = await post(testGateway(), path, body);
    expect(answer.status).toBe(400);
    expect(errorOf(answer.text)).toEqual({
      message,
      type: "invalid_request_error",
      param,
      code: "invalid_request",
    });
  });

  test.each([
    ["tools", [{ type: "function" }]],
    ["functions", [{}]],
    ["tool_choice", "required"],
    ["response_format", { type: "json_object" }],
    ["audio", { voice: "a" }],
    ["modalities", ["text", "audio"]],
    ["n", 2],
    ["guided_json", {}],
    ["structured_outputs", { regex: "a" }],
    ["repetition_penalty", 1.2],
  ])("%s that cannot be honoured", async (param, value) => {
    const answer = await post(testGateway(), path, { ...ask, [param]: value });
    expect(answer.status).toBe(400);
    const error = errorOf(answer.text);
    expect(error).toMatchObject({ type: "invalid_request_error", param, code: "unsupported_parameter" });
    expect(error.message).toMatch(new RegExp(`^${param}: .* is not supported\\. [A-Z]`));
  });

  test("an unknown model is a 404 that names the known ones", async () => {
    const answer = await post(testGateway(), path, { ...ask, model: "gpt-9" });
    expect(answer.status).toBe(404);
    expect(errorOf(answer.text)).toEqual({
      message: 'The model "gpt-9" does not exist: expected one of concord, smollm2-135m-instruct.',
      type: "invalid_request_error",
      param: "model",
      code: "model_not_found",
    });
  });

  test("a fault in each of a million items is one short answer", async () => {
    const body = { ...ask, messages: Array(1_000_000).fill(1) };
    const answer = await post(testGateway(), path, body);
    expect(errorOf(answer.text).message).toBe(
      "messages: expected an array of 1 to 2048 messages, got an array of 1000000.",
    );
    const names = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`name${index}`, 1]));
    expect(errorOf((await post(testGateway(), path, names)).text).message).toBe(
      "The body: expected an object of at most 256 fields, got 300.",
    );
  });
});

describe("a body that is no JSON object is refused", () => {
  test.each([
    ["", /^The body is empty: expected a JSON object\.$/],
    ["{", /^The body is not valid JSON: /],
    ["[]", /^The body: expected a JSON object, got an empty array\.$/],
    ["null", /^The body: expected a JSON object, got null\.$/],
    ['"text"', /^The body: expected a JSON object, got "text"\.$/],
  ])("%j", async (body, message) => {
    const answer = await post(testGateway(), path, body);
    expect(answer.status).toBe(400);
    expect(errorOf(answer.text).message).toMatch(message);
  });

  test("bytes that are not UTF-8", async () => {
    const body = Uint8Array.from([0x7b, 0xff, 0x7d]);
    const response = await testGateway().request(path, { method: "POST", body });
    expect(response.status).toBe(400);
    expect(errorOf(await response.text()).message).toMatch(/not valid UTF-8/);
  });

  test("but any content type, or none, is read", async () => {
    expect((await post(testGateway(), path, ask, { "content-type": "text/plain" })).status).toBe(200);
    expect((await post(testGateway(), path, ask, {})).status).toBe(200);
  });
});

describe("a body over the limit is a 413", () => {
  const long = { ...ask, messages: [{ role: "user", content: "x".repeat(2000) }] };

  test("when its length is announced", async () => {
    const headers = { "content-length": "2100" };
    const answer = await post(testGateway({ bodyLimitBytes: 1000 }), path, long, headers);
    expect(answer.status).toBe(413);
    expect(errorOf(answer.text)).toMatchObject({ type: "invalid_request_error", code: "payload_too_large" });
  });

  test("when it comes in chunks without a length", async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(long));
    const chunked = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes.subarray(0, 500));
          controller.enqueue(bytes.subarray(500));
          controller.close();
        },
      });
    const send = (bodyLimitBytes: number) => {
      // TypeScript's DOM types do not know duplex, which Node asks for.
      const init: RequestInit & { duplex: "half" } = { method: "POST", body: chunked(), duplex: "half" };
      const request = new Request(`http://gateway${path}`, init);
      return testGateway({ bodyLimitBytes }).request(request);
    };
    expect((await send(1000)).status).toBe(413);
    expect((await send(3000)).status).toBe(200);
  });

  test("above 8 MiB by default", async () => {
    const huge = { ...ask, messages: [{ role: "user", content: "x".repeat(8 * 1024 * 1024) }] };
    expect((await post(testGateway(), path, huge)).status).toBe(413);
  });
});

describe("errors that are the gateway's own", () => {
  test("tell the client nothing of the inside, and the operator everything", async () => {
    const told: [unknown, string][] = [];
    const failure = new Error("a path, a stack");
    const engine = createScriptedEngine(failing(failure));
    const onInternalError = (error: unknown, requestId: string) => told.push([error, requestId]);
    const app = testGateway({ engine, onInternalError });
    const answer = await post(app, path, ask);
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain("a path");
    expect(errorOf(answer.text)).toMatchObject({ type: "server_error", code: "internal_error" });
    expect(told).toEqual([[failure, "chatcmpl-1"]]);
    await post(app, path, { ...ask, temperature: 3 });
    expect(told).toHaveLength(1);
  });
});

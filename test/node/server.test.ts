import { once } from "node:events";
import { connect } from "node:net";
import OpenAI, {
  APIConnectionError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
} from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { startServer, type RunningServer, type ServerOptions } from "../../adapters/node/server.ts";
import type { GatewayDependencies } from "../../src/gateway/app.ts";
import { errorOf, testGateway } from "../gateway/harness.ts";
import {
  createScriptedEngine,
  ending,
  endless,
  failing,
  greeting,
  scored,
  type ScriptedEngine,
} from "../scripted-engine.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";

const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function serve(deps: Partial<GatewayDependencies> = {}, options: Partial<ServerOptions> = {}) {
  const server = await startServer({
    app: testGateway(deps),
    host: "127.0.0.1",
    port: 0,
    graceMs: 100,
    ...options,
  });
  running.push(server);
  const openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "any", maxRetries: 0 });
  return { server, openai };
}

const aborted = (engine: ScriptedEngine) => engine.questions[0]?.signal?.aborted;
const messages = [{ role: "user" as const, content: "Hi" }];
const model = "concord";

describe("OpenAI's own client", () => {
  test("reads a whole chat completion", async () => {
    const { openai } = await serve();
    const answer = await openai.chat.completions.create({ model, messages, logprobs: true, top_logprobs: 2 });
    expect(answer.choices[0]?.message).toMatchObject({ role: "assistant", content: " Hi there" });
    expect(answer.choices[0]?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(2);
    expect(answer.usage?.total_tokens).toBe(5);
    expect(answer).toHaveProperty("concord.agreement.js_divergence", 0.25);
    expect(answer._request_id).toBe(answer.id);
  });

  test("reads a streamed chat completion", async () => {
    const { openai } = await serve();
    const stream = openai.chat.completions.stream({
      model,
      messages,
      stream_options: { include_usage: true },
    });
    const deltas: string[] = [];
    stream.on("content", (delta) => deltas.push(delta));
    const completion = await stream.finalChatCompletion();
    expect(deltas.join("")).toBe(" Hi there");
    expect(completion.choices[0]?.finish_reason).toBe("stop");
    expect((await stream.totalUsage()).completion_tokens).toBe(2);
  });

  test("gets each delta when it is made, not when the answer is over", async () => {
    const read = new AbortController();
    const engine = createScriptedEngine(async function* (question) {
      yield { type: "delta", text: "first", tokens: [scored("first")] };
      await once(read.signal, "abort");
      yield ending(question);
    });
    const { openai } = await serve({ engine });
    const stream = await openai.chat.completions.create({ model, messages, stream: true });
    const texts: string[] = [];
    for await (const chunk of stream) {
      const text = chunk.choices[0]?.delta.content ?? "";
      texts.push(text);
      if (text === "first") read.abort();
    }
    expect(texts).toEqual(["", "first", ""]);
  });

  test("reads completions, whole, echoed and streamed", async () => {
    const { openai } = await serve();
    const whole = await openai.completions.create({ model, prompt: ["a", "b"], echo: true, logprobs: 1 });
    expect(whole.choices.map((choice) => choice.text)).toEqual(["Say it Hi there", "Say it Hi there"]);
    expect(whole.choices[1]?.logprobs?.text_offset).toEqual([0, 3, 6, 9]);
    const texts: string[] = [];
    for await (const chunk of await openai.completions.create({ model, prompt: "a", stream: true })) {
      texts.push(chunk.choices[0]?.text ?? "");
    }
    expect(texts.join("")).toBe(" Hi there");
  });

  test("reads the models", async () => {
    const { openai } = await serve();
    const ids: string[] = [];
    for await (const card of openai.models.list()) ids.push(card.id);
    expect(ids).toEqual(["concord", "smollm2-135m-instruct"]);
    expect((await openai.models.retrieve("concord")).owned_by).toBe("concord");
  });

  test("throws its own error types with param and code", async () => {
    const { openai } = await serve({ apiKey: "any" });
    const wrong = openai.chat.completions.create({ model: "gpt-9", messages });
    await expect(wrong).rejects.toBeInstanceOf(NotFoundError);
    await expect(wrong).rejects.toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    const hot = openai.chat.completions.create({ model, messages, temperature: 9 });
    await expect(hot).rejects.toBeInstanceOf(BadRequestError);
    const stranger = openai.withOptions({ apiKey: "other" }).models.list();
    await expect(stranger).rejects.toBeInstanceOf(AuthenticationError);
  });

  test("throws what went wrong before a stream began, and what cut it", async () => {
    const lost = new GatewayError("members_lost", "Every member was lost.");
    const atOnce = await serve({ engine: createScriptedEngine(failing(lost)) });
    await expect(
      atOnce.openai.chat.completions.create({ model, messages, stream: true }),
    ).rejects.toMatchObject({ status: 503, code: "members_lost" });

    const midway = await serve({
      engine: createScriptedEngine(function* () {
        yield { type: "delta", text: "Half", tokens: [scored("Half")] };
        throw lost;
      }),
    });
    const stream = await midway.openai.chat.completions.create({ model, messages, stream: true });
    const readAll = async () => {
      for await (const chunk of stream) expect(chunk.object).toBe("chat.completion.chunk");
    };
    await expect(readAll()).rejects.toMatchObject({ code: "members_lost", type: "server_error" });
  });

  test("aborts the question by leaving its stream", async () => {
    const engine = createScriptedEngine((question) => endless(question));
    const { openai } = await serve({ engine });
    const stream = await openai.chat.completions.create({ model, messages, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === " on") break;
    await expect.poll(() => aborted(engine)).toBe(true);
  });

  test("aborts the question by giving up a whole answer", async () => {
    const engine = createScriptedEngine((question) => endless(question));
    const { openai } = await serve({ engine });
    const giveUp = new AbortController();
    const answer = openai.completions.create({ model, prompt: "a" }, { signal: giveUp.signal });
    await expect.poll(() => engine.questions.length).toBe(1);
    expect(aborted(engine)).toBe(false);
    giveUp.abort();
    await expect(answer).rejects.toBeInstanceOf(APIUserAbortError);
    await expect.poll(() => aborted(engine)).toBe(true);
  });
});

const send = async (url: string, request: string): Promise<string> => {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let answer = "";
  socket.on("data", (bytes) => (answer += bytes.toString()));
  socket.end(request);
  await once(socket, "close");
  return answer;
};

const chunked = (text: string) =>
  `POST /v1/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n` +
  `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

describe("on a bare socket", () => {
  test("a body of 20 MB is a 413, and the server goes on", async () => {
    const { server, openai } = await serve();
    const body = JSON.stringify({ model, prompt: "x".repeat(20_000_000) });
    const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body });
    expect(response.status).toBe(413);
    expect(errorOf(await response.text()).code).toBe("payload_too_large");
    expect((await openai.completions.create({ model, prompt: "a" })).choices).toHaveLength(1);
  });

  test("a body in chunks is read, and refused when it grows over the limit", async () => {
    const { server } = await serve({ bodyLimitBytes: 100 });
    const short = await send(server.url, chunked(JSON.stringify({ model, prompt: "a" })));
    expect(short).toMatch(/^HTTP\/1\.1 200 /);
    const long = await send(server.url, chunked(JSON.stringify({ model, prompt: "a".repeat(200) })));
    expect(long).toMatch(/^HTTP\/1\.1 413 /);
    expect(long).toContain('"code":"payload_too_large"');
  });

  test("a client that goes away aborts the question, also after a body in chunks", async () => {
    const engine = createScriptedEngine((question) => endless(question));
    const { server } = await serve({ engine });
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.write(chunked(JSON.stringify({ model, prompt: "a" })));
    await expect.poll(() => engine.questions.length).toBe(1);
    expect(aborted(engine)).toBe(false);
    socket.destroy();
    await expect.poll(() => aborted(engine)).toBe(true);
  });

  test("a Host header that is none is a 400 in OpenAI's shape", async () => {
    const { server } = await serve();
    const answer = await send(
      server.url,
      "GET /v1/models HTTP/1.1\r\nHost: a b@c\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"type":"invalid_request_error"');
  });
});

describe("a server that closes", () => {
  test("lets a running answer finish", async () => {
    const engine = createScriptedEngine(async function* (question) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      yield* greeting(question);
    });
    const { server, openai } = await serve({ engine }, { graceMs: 30_000 });
    const answer = openai.completions.create({ model, prompt: "a" });
    await expect.poll(() => engine.questions.length).toBe(1);
    const closing = server.close();
    expect((await answer).choices[0]?.text).toBe(" Hi there");
    await closing;
    await expect(openai.models.list()).rejects.toBeInstanceOf(APIConnectionError);
  });

  test("aborts an answer that outlasts the grace time", async () => {
    const engine = createScriptedEngine((question) => endless(question));
    const { server, openai } = await serve({ engine }, { graceMs: 20 });
    const stream = await openai.chat.completions.create({ model, messages, stream: true });
    const reading = (async () => {
      for await (const chunk of stream) expect(chunk.model).toBe(model);
    })();
    const cut = expect(reading).rejects.toThrow();
    await server.close();
    await cut;
    await expect.poll(() => aborted(engine)).toBe(true);
  });

  test("may be closed twice", async () => {
    const { server } = await serve();
    await Promise.all([server.close(), server.close()]);
    await expect(fetch(server.url)).rejects.toThrow();
  });
});

describe("a server that cannot listen says why", () => {
  test("when another has the port", async () => {
    const { server } = await serve();
    const port = Number(new URL(server.url).port);
    await expect(serve({}, { port })).rejects.toThrow(
      `Cannot listen on 127.0.0.1, port ${port}: another program has it. Stop that program or choose another port`,
    );
  });

  test("when the address is not this machine's", async () => {
    await expect(serve({}, { host: "192.0.2.1" })).rejects.toThrow(
      "Cannot listen on 192.0.2.1, port 0: this machine has no such address.",
    );
  });
});

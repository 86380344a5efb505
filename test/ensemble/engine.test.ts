import { describe, expect, it } from "vitest";
import { createEngine } from "../../src/ensemble/engine.ts";
import type { AgreementLog, LogRecord } from "../../src/ports/agreement-log.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { AnswerEvent, Question } from "../../src/ports/engine.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";

/** Keeps records; `failing` refuses them. */
function createMemoryLog(failing = false): AgreementLog & { readonly records: LogRecord[] } {
  const records: LogRecord[] = [];
  return {
    records,
    async append(record) {
      if (failing) throw new Error("disk full");
      records.push(record);
    },
    list: async () => records,
    find: async (id) => records.find((record) => record.requestId === id) ?? null,
    close: async () => {},
  };
}

const question: Question = {
  requestId: "q-1",
  model: "concord",
  endpoint: "completions",
  prompt: { kind: "text", text: "Hello" },
  maxTokens: 5,
  stop: [],
  sampling: {
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    frequencyPenalty: 0,
    presencePenalty: 0,
    logitBias: new Map([[257, -100]]),
    seed: 1,
  },
  topLogprobs: 2,
  echo: false,
};

function open({ keepText = false, failing = false } = {}) {
  const log = createMemoryLog(failing);
  const engine = createEngine({ ensemble: createScriptedEnsemble(), log, clock: systemClock, keepText });
  const answer = async (changes: Partial<Question> = {}): Promise<AnswerEvent[]> => {
    const events: AnswerEvent[] = [];
    for await (const event of engine.answer({ ...question, ...changes })) events.push(event);
    return events;
  };
  return { engine, log, answer };
}

async function tell(seed: number): Promise<string> {
  const events = await open().answer({ maxTokens: 30, sampling: { ...question.sampling, seed } });
  return events.flatMap((event) => (event.type === "delta" ? [event.text] : [])).join("");
}

describe("engine", () => {
  it("lists the ensemble first, then its members", () => {
    expect(
      open()
        .engine.models()
        .map((model) => model.id),
    ).toEqual(["concord", "first", "second"]);
  });

  it("answers with as many tokens as asked, each with its alternatives, and one end", async () => {
    const events = await open().answer();
    const deltas = events.filter((event) => event.type === "delta");
    const end = events.at(-1);
    const tokens = deltas.flatMap((delta) => delta.tokens);
    expect(tokens).toHaveLength(5);
    expect(tokens.every((token) => token.top.length === 2 && (token.logprob ?? 1) <= 0)).toBe(true);
    expect(end).toMatchObject({
      type: "end",
      finishReason: "length",
      usage: { promptTokens: 5, completionTokens: 5 },
      report: { requestId: "q-1", members: [{ id: "first" }, { id: "second" }] },
    });
    expect(events.filter((event) => event.type === "end")).toHaveLength(1);
  });

  it("has logged the answer before it tells the end", async () => {
    const { engine, log } = open();
    for await (const event of engine.answer(question)) {
      expect(log.records).toHaveLength(event.type === "end" ? 1 : 0);
    }
    expect(log.records[0]).toMatchObject({
      requestId: "q-1",
      model: "concord",
      completionTokens: 5,
      text: null,
    });
  });

  it("an answer that cannot be logged has no end", async () => {
    await expect(open({ failing: true }).answer()).rejects.toThrow("disk full");
  });

  it("keeps prompt and answer only when told to", async () => {
    const { log, answer } = open({ keepText: true });
    const events = await answer();
    const text = events.flatMap((event) => (event.type === "delta" ? [event.text] : [])).join("");
    expect(log.records[0]?.text).toEqual({ prompt: "Hello", answer: text });
  });

  it("ends at an end token and at a stop text, without either in the text", async () => {
    const ended = await open().answer({
      sampling: { ...question.sampling, logitBias: new Map([[257, 100]]) },
    });
    expect(ended.at(-1)).toMatchObject({ finishReason: "stop", usage: { completionTokens: 1 } });
    expect(ended).toHaveLength(1);

    const always = new Map([
      ...Array.from({ length: 258 }, (_, id): [number, number] => [id, -100]),
      [120, 100] as const,
    ]);
    const stopped = await open().answer({
      sampling: { ...question.sampling, logitBias: always },
      stop: ["xxx"],
    });
    expect(stopped.at(-1)).toMatchObject({ finishReason: "stop", usage: { completionTokens: 3 } });
    expect(stopped.flatMap((event) => (event.type === "delta" ? [event.text] : [])).join("")).toBe("");
  });

  it("echo scores every token of the prompt, max_tokens 0 allowed", async () => {
    const [prompt, end] = await open().answer({ echo: true, maxTokens: 0 });
    expect(prompt).toMatchObject({ type: "prompt", text: "Hello" });
    expect(prompt?.type === "prompt" && prompt.tokens.map((token) => token.token)).toEqual([
      72, 101, 108, 108, 111,
    ]);
    expect(end).toMatchObject({ type: "end", report: { agreement: { positions: 5 } } });
  });

  it("a document start that the client wrote is echoed, with no log-probability", async () => {
    const [prompt] = await open().answer({
      prompt: { kind: "tokens", tokens: [256, 72, 105] },
      echo: true,
      maxTokens: 0,
    });
    const logprobs = prompt?.type === "prompt" ? prompt.tokens.map((token) => token.logprob !== null) : [];
    expect(logprobs).toEqual([false, true, true]);
  });

  it("the same seed gives the same answer", async () => {
    expect(await tell(8)).toBe(await tell(8));
    expect(await tell(8)).not.toBe(await tell(9));
  });

  it.each<[string, Partial<Question>, string, string]>([
    ["a model that does not exist", { model: "gpt" }, "unknown_model", "model"],
    [
      "a token outside the vocabulary",
      { prompt: { kind: "tokens", tokens: [1, 258] } },
      "invalid_request",
      "prompt",
    ],
    [
      "a bias for such a token",
      { sampling: { ...question.sampling, logitBias: new Map([[258, 1]]) } },
      "invalid_request",
      "logit_bias",
    ],
    [
      "a prompt over the context",
      { prompt: { kind: "text", text: "x".repeat(3000) } },
      "context_length_exceeded",
      "prompt",
    ],
    ["more tokens than the context leaves", { maxTokens: 3000 }, "context_length_exceeded", "prompt"],
  ])("refuses %s", async (_, changes, code, param) => {
    const { log, answer } = open();
    await expect(answer(changes)).rejects.toMatchObject({ code, param });
    expect(log.records).toEqual([]);
  });

  it("stops when the request is aborted, and logs nothing", async () => {
    const { engine, log } = open();
    const controller = new AbortController();
    const events = engine.answer({ ...question, maxTokens: 1000, signal: controller.signal });
    const abortAfterTwo = async (): Promise<void> => {
      let seen = 0;
      for await (const event of events) if (event.type === "delta" && ++seen === 2) controller.abort();
    };
    await expect(abortAfterTwo()).rejects.toMatchObject({ code: "cancelled" });
    expect(log.records).toEqual([]);
  });
});

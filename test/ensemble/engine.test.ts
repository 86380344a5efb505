import { describe, expect, it } from "vitest";
import { createEngine } from "../../src/ensemble/engine.ts";
import type { AgreementLog, LogRecord } from "../../src/ports/agreement-log.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { plainSampling, type AnswerEvent, type AnswerReport, type Question } from "../../src/ports/engine.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";
import { createScriptedMember } from "../scripted-member.ts";

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

function open({ keepText = false, failing = false, ensemble = createScriptedEnsemble() } = {}) {
  const log = createMemoryLog(failing);
  const engine = createEngine({ ensemble, log, clock: systemClock, keepText });
  const answer = async (changes: Partial<Question> = {}): Promise<AnswerEvent[]> => {
    const events: AnswerEvent[] = [];
    for await (const event of engine.answer({ ...question, ...changes })) events.push(event);
    return events;
  };
  return { engine, log, answer };
}

/** Like `open`, but the second member has whole words of some German as tokens and answers such texts alone. */
function openRouted() {
  const scripted = createScriptedEnsemble();
  const follower = createScriptedMember({
    id: "second",
    seed: 2,
    tokenizer: createMergingTokenizer([" langer", " Satz"]),
  });
  return open({
    ensemble: {
      ...scripted,
      members: [scripted.members[0], follower],
      routes: [{ member: "second", ratio: 1.5, share: 0.5 }],
    },
  });
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

function reportOf(events: readonly AnswerEvent[]): AnswerReport | undefined {
  const end = events.at(-1);
  return end?.type === "end" ? end.report : undefined;
}

describe("a text that the ensemble leaves to a member", () => {
  const text = " langer Satz".repeat(4);
  const left: Partial<Question> = {
    prompt: { kind: "text", text },
    sampling: { ...plainSampling, seed: 1 },
  };
  const reason = /^first needs 3\.50 times the tokens that second needs for this text .*; from 1\.50 on/;

  it("is answered as a request for that member is, and says so, in the log too", async () => {
    const { log, answer } = openRouted();
    const byEnsemble = await answer({ ...left, echo: true });
    const byMember = await answer({ ...left, echo: true, model: "second" });
    expect(byEnsemble.slice(0, -1)).toEqual(byMember.slice(0, -1));
    const [prompt] = byEnsemble;
    expect(prompt?.type === "prompt" && prompt.tokens.map(({ token }) => token)).toEqual([
      258, 259, 258, 259, 258, 259, 258, 259,
    ]);
    expect(byEnsemble.at(-1)).toMatchObject({
      usage: { promptTokens: 8, completionTokens: 5 },
      report: {
        answeredBy: "second",
        notFused: expect.stringMatching(reason),
        agreement: { positions: 0, jsDivergence: null, top1Agreement: null, stateDistance: null },
        members: [{ id: "second", weight: 1 }],
      },
    });
    expect(reportOf(byMember)).toMatchObject({ answeredBy: "second" });
    expect(reportOf(byMember)).not.toHaveProperty("notFused");
    expect(log.records[0]).toMatchObject({
      model: "concord",
      promptTokens: 8,
      report: { answeredBy: "second", notFused: expect.stringMatching(reason) },
    });
  });

  it.each<[string, Partial<Question>]>([
    ["as a chat", { prompt: { kind: "chat", messages: [{ role: "user", content: text }] } }],
    ["as token ids", { prompt: { kind: "tokens", tokens: [...new TextEncoder().encode(text)] } }],
    ["with biases, whose ids are the anchor's", { sampling: question.sampling }],
    ["in words that both cut alike", { prompt: { kind: "text", text: "to be or not to be" } }],
  ])("is fused %s", async (_, changes) => {
    const report = reportOf(await openRouted().answer({ ...left, ...changes }));
    expect(report).toMatchObject({ answeredBy: "concord", members: [{ id: "first" }, { id: "second" }] });
    expect(report).not.toHaveProperty("notFused");
  });

  it("is measured by that member's context and tokens", async () => {
    const { answer } = openRouted();
    await expect(answer({ ...left, maxTokens: 2041 })).rejects.toThrow(
      "second, which answers this text alone, reads at most 2048 tokens; the prompt has 8 and max_tokens asks for 2041 more",
    );
    const many: Question["prompt"] = { kind: "text", text: " langer Satz".repeat(300) };
    expect((await answer({ ...left, prompt: many })).at(-1)).toMatchObject({ usage: { promptTokens: 600 } });
  });
});

import { EventEmitter, once } from "node:events";
import { afterEach, describe, expect, it, test } from "vitest";
import { createEngine } from "../../src/ensemble/engine.ts";
import {
  createSupervisedDecoder,
  createSupervisedMember,
  type SupervisedMember,
} from "../../src/ensemble/supervised-member.ts";
import type { Supervision } from "../../src/ensemble/supervisor.ts";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import { plainSampling, type AnswerEvent, type Engine, type Question } from "../../src/ports/engine.ts";
import { createFaultyDecoder, createFaultyMember, FAULTS, type Fault } from "../faulty-member.ts";
import { createManualTimers, turn, type ManualTimers } from "../manual-timers.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";

const TIMEOUT_MS = 10_000;
/** What passes in one turn of the event loop. */
const TURN_MS = 10;
/** What the answers' own computing takes at most, in turns. */
const COMPUTING_MS = 100 * TURN_MS;
/** The pause before a first start: random is 0. */
const PAUSE_MS = 500;
const WAVE = 10;
const TOKENS = 12;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Two members that can be broken. @param pieces the second one's words: texts of them are left to it alone */
async function openFaulty({ quorum = 1, pieces = [] as readonly string[] } = {}) {
  const timers = createManualTimers();
  const supervision: Supervision = { timers, random: () => 0, timeoutMs: TIMEOUT_MS };
  const ensemble = createScriptedEnsemble();
  const faulty = {
    first: createFaultyMember({ id: "first", seed: 1 }),
    second: createFaultyMember({
      id: "second",
      seed: 2,
      ...(pieces.length > 0 && { tokenizer: createMergingTokenizer(pieces) }),
    }),
    decoder: createFaultyDecoder("decoder", ensemble.decoder),
  };
  const members: readonly [SupervisedMember, SupervisedMember] = [
    await createSupervisedMember({ ...supervision, id: "first", start: faulty.first.start }),
    await createSupervisedMember({ ...supervision, id: "second", start: faulty.second.start }),
  ];
  const { start } = faulty.decoder;
  const decoder = await createSupervisedDecoder({ ...supervision, id: "decoder", start });
  const routes = pieces.length > 0 ? [{ member: "second", ratio: 1.5, share: 0.5 }] : [];
  const records: LogRecord[] = [];
  const engine = createEngine({
    ensemble: { ...ensemble, members, decoder, routes },
    log: {
      append: async (record) => void records.push(record),
      list: async () => records,
      find: async () => null,
      close: async () => {},
    },
    clock: timers,
    keepText: true,
    quorum,
  });
  closing.push(async () => {
    for (const one of Object.values(faulty)) one.release();
    await Promise.all([...members, decoder].map((one) => one.close()));
  });
  return { engine, faulty, members, timers, records };
}

const question = (index: number): Question => ({
  requestId: `q-${index}`,
  model: "concord",
  endpoint: "completions",
  prompt: { kind: "text", text: `Request ${index}:` },
  maxTokens: TOKENS,
  stop: [],
  sampling: { ...plainSampling, seed: index, logitBias: new Map([[257, -100]]) },
  topLogprobs: 2,
  echo: false,
});

interface Asked {
  readonly events: readonly AnswerEvent[];
  readonly tookMs: number;
}

/** Asks all at once. When each has three events and waits, `breaking` is done, and they go on. */
async function ask(
  engine: Engine,
  timers: ManualTimers,
  questions: readonly Question[],
  breaking: () => void = () => {},
): Promise<Asked[]> {
  let waiting = 0;
  const together = new EventEmitter();
  const goingOn = once(together, "go on");
  const asked = Promise.all(
    questions.map(async (each): Promise<Asked> => {
      const start = timers.monotonic();
      const events: AnswerEvent[] = [];
      for await (const event of engine.answer(each)) {
        events.push(event);
        if (events.length !== 3) continue;
        if (++waiting === questions.length) {
          breaking();
          together.emit("go on");
        }
        await goingOn;
      }
      return { events, tookMs: timers.monotonic() - start };
    }),
  );
  return pass(timers, asked);
}

/** Lets time pass until the promise has settled. */
async function pass<T>(timers: ManualTimers, promise: Promise<T>): Promise<T> {
  const passing = setInterval(() => timers.advance(TURN_MS), 1);
  return promise.finally(() => clearInterval(passing));
}

async function untilUp(timers: ManualTimers, members: readonly SupervisedMember[]): Promise<void> {
  const limit = timers.monotonic() + 120_000;
  while (members.some(({ health }) => health.state !== "up")) {
    if (timers.monotonic() > limit) throw new Error("a member did not come back");
    await turn();
    timers.advance(PAUSE_MS);
  }
}

/** The end of an answer, once all of it is as it must be: pieces with as many scored tokens as were asked, and one end. */
function endOf({ events }: Asked): AnswerEvent & { type: "end" } {
  const end = events.at(-1);
  if (end?.type !== "end") throw new Error("an answer has no end");
  const deltas = events.slice(0, -1).map((event) => {
    if (event.type !== "delta") throw new Error(`an answer has a ${event.type} in the middle`);
    return event;
  });
  const tokens = deltas.flatMap((delta) => delta.tokens);
  expect([tokens.length, end.usage.completionTokens, end.finishReason]).toEqual([TOKENS, TOKENS, "length"]);
  for (const { logprob, top } of tokens) {
    expect(logprob).toBeLessThanOrEqual(0);
    expect(top.every((one) => Number.isFinite(one.logprob))).toBe(true);
  }
  const { bitsPerByte, entropy } = end.report;
  expect([bitsPerByte, entropy].every(Number.isFinite)).toBe(true);
  return end;
}

const textOf = (asked: readonly Asked[]) =>
  asked.flatMap(({ events }) => events.map((event) => (event.type === "delta" ? event.text : ""))).join("");

const lossesOf = (asked: Asked) =>
  endOf(asked).report.members.flatMap(({ id, lost }) => (lost ? [{ id, ...lost }] : []));

describe("an engine whose members are lost", () => {
  it("gives 100 answers to 100 requests, whole, in time and marked, whoever crashes, hangs or gives no numbers", async () => {
    const { engine, faulty, members, timers, records } = await openFaulty();
    const waves = FAULTS.flatMap((fault): { fault: Fault; id: "first" | "second" }[] => [
      { fault, id: "first" },
      { fault, id: "second" },
    ]);
    let answers = 0;
    for (const [w, { fault, id }] of waves.entries()) {
      await untilUp(timers, members);
      const questions = Array.from({ length: WAVE }, (_, i) => question(WAVE * w + i));
      for (const asked of await ask(engine, timers, questions, () => faulty[id].break(fault))) {
        const { position, ...lost } = lossesOf(asked)[0] ?? { position: -1 };
        expect(lossesOf(asked), `${id}, ${fault}`).toHaveLength(1);
        expect(lost, fault).toMatchObject({ id, reason: expect.stringMatching(`^${id}: `) });
        expect(position).toBeGreaterThan(0);
        expect(position).toBeLessThan(TOKENS);
        expect(asked.tookMs, fault).toBeLessThanOrEqual((fault === "hang" ? TIMEOUT_MS : 0) + COMPUTING_MS);
        answers++;
      }
      for (const one of Object.values(faulty)) one.release();
    }
    expect([answers, records.length]).toEqual([100, 100]);
    await untilUp(timers, members);
    const [sound] = await ask(engine, timers, [question(100)]);
    expect(sound && lossesOf(sound)).toEqual([]);
    expect([faulty.first.starts, faulty.second.starts, faulty.decoder.starts]).toEqual([6, 6, 1]);
  });

  test.each(["first", "second"] as const)(
    "an answer begun while %s is down is marked from its first token",
    async (id) => {
      const { engine, faulty, timers } = await openFaulty();
      faulty[id].neverStart();
      await ask(engine, timers, [question(0)], () => faulty[id].break("crash"));
      const [asked] = await ask(engine, timers, [question(1)]);
      expect(asked && lossesOf(asked)).toEqual([
        {
          id,
          position: 0,
          reason: expect.stringContaining(
            `${id} cannot be asked: it ended with code 7; it is started again at`,
          ),
        },
      ]);
    },
  );

  it("answers a seed as ever once the lost member is back", async () => {
    const { engine, faulty, members, timers } = await openFaulty();
    const before = textOf(await ask(engine, timers, [question(7)]));
    const during = textOf(await ask(engine, timers, [question(7)], () => faulty.first.break("poison")));
    await untilUp(timers, members);
    expect(textOf(await ask(engine, timers, [question(7)]))).toBe(before);
    expect(during).not.toBe(before);
  });

  it("does not answer with fewer members than the quorum, and says who is lost and why", async () => {
    const { engine, faulty, timers } = await openFaulty({ quorum: 2 });
    await expect(
      ask(engine, timers, [question(0)], () => faulty.second.break("crash")),
    ).rejects.toMatchObject({
      code: "members_lost",
      message: expect.stringContaining("needs 2 of 2 members and 1 of them can be asked: second: it ended"),
    });
  });

  it("whose last member hangs refuses within the time-out", async () => {
    const { engine, faulty, timers } = await openFaulty();
    const start = timers.monotonic();
    const asked = ask(engine, timers, [question(0)], () => {
      faulty.first.break("hang");
      faulty.second.break("hang");
    });
    await expect(asked).rejects.toMatchObject({ code: "members_lost" });
    expect(timers.monotonic() - start).toBeLessThanOrEqual(TIMEOUT_MS + COMPUTING_MS);
  });

  it("asks a decoder that crashed once more when it is back, and loses nobody", async () => {
    const { engine, faulty, timers } = await openFaulty();
    const [asked] = await ask(engine, timers, [question(0)], () => faulty.decoder.break("crash"));
    expect(asked && lossesOf(asked)).toEqual([]);
    expect(faulty.decoder.starts).toBe(2);
  });
});

describe("an answer that was left to a member which is lost", () => {
  const pieces = [" langer", " Satz"];
  const left: Question = {
    ...question(0),
    prompt: { kind: "text", text: " langer Satz".repeat(4) },
    sampling: { ...plainSampling, seed: 4 },
  };

  it.each<Fault>(["crash", "hang", "poison"])(
    "goes on fused from its last text after a %s, and is one answer",
    async (fault) => {
      const { engine, faulty, timers, records } = await openFaulty({ pieces });
      const [asked] = await ask(engine, timers, [left], () => faulty.second.break(fault));
      if (!asked) throw new Error("one was asked");
      const end = endOf(asked);
      const out = asked.events.slice(0, 3).flatMap((event) => (event.type === "delta" ? event.tokens : []));
      expect(end.report).toMatchObject({
        answeredBy: "concord",
        members: [{ id: "first" }, { id: "second" }],
      });
      expect(end.report).not.toHaveProperty("notFused");
      expect(lossesOf(asked)).toEqual([
        { id: "second", position: out.length, reason: expect.stringMatching(/^second: /) },
      ]);
      expect(asked.tookMs).toBeLessThanOrEqual(TIMEOUT_MS + COMPUTING_MS);
      expect(records).toHaveLength(1);
      expect(records[0]).toMatchObject({
        promptTokens: 48,
        completionTokens: TOKENS,
        text: { prompt: " langer Satz".repeat(4), answer: textOf([asked]) },
      });
    },
  );

  it("echoes its prompt once", async () => {
    const { engine, faulty, timers } = await openFaulty({ pieces });
    const [asked] = await ask(engine, timers, [{ ...left, echo: true }], () => faulty.second.break("crash"));
    expect(asked?.events.map(({ type }) => type).filter((type) => type !== "delta")).toEqual([
      "prompt",
      "end",
    ]);
  });

  it("that the ensemble cannot go on with, for it is too long in the anchor's tokens, is refused as a loss", async () => {
    const { engine, faulty, timers } = await openFaulty({ pieces });
    const long: Question = { ...left, prompt: { kind: "text", text: " langer Satz".repeat(300) } };
    await expect(ask(engine, timers, [long], () => faulty.second.break("crash"))).rejects.toMatchObject({
      code: "members_lost",
    });
  });

  it("that was asked of that member by name is refused", async () => {
    const { engine, faulty, timers } = await openFaulty({ pieces });
    const named = { ...left, model: "second" };
    await expect(ask(engine, timers, [named], () => faulty.second.break("crash"))).rejects.toMatchObject({
      code: "members_lost",
    });
  });
});

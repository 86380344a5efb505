import { afterEach, describe, expect, it } from "vitest";
import { createEngine } from "../../src/ensemble/engine.ts";
import {
  createSupervisedDecoder,
  createSupervisedMember,
  type SupervisedMember,
} from "../../src/ensemble/supervised-member.ts";
import type { Supervision } from "../../src/ensemble/supervisor.ts";
import { systemClock, type Timers } from "../../src/ports/clock.ts";
import { plainSampling, type AnswerEvent, type Question } from "../../src/ports/engine.ts";
import {
  createFaultyDecoder,
  createFaultyMember,
  FAULTS,
  type Fault,
  type Faulty,
} from "../faulty-member.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";

const TIMEOUT_MS = 10_000;
/** Time passes so much faster than on the wall. */
const SPEED = 20;
const REQUESTS = 100;
const TOKENS = 12;

const timers: Timers = {
  now: () => systemClock.now(),
  monotonic: () => SPEED * systemClock.monotonic(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs / SPEED);
    return () => clearTimeout(timer);
  },
};

/** Pauses are the shortest of their step: half a second after a first loss. */
const supervision: Supervision = {
  timers,
  random: () => 0,
  timeoutMs: TIMEOUT_MS,
};

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function openFaulty(quorum = 1) {
  const ensemble = createScriptedEnsemble();
  const faulty = [
    createFaultyMember({ id: "first", seed: 1 }),
    createFaultyMember({ id: "second", seed: 2 }),
  ];
  const faultyDecoder = createFaultyDecoder("decoder", ensemble.decoder);
  const [anchor, follower] = await Promise.all(
    faulty.map(({ start }, m) =>
      createSupervisedMember({ ...supervision, id: m === 0 ? "first" : "second", start }),
    ),
  );
  if (!anchor || !follower) throw new Error("there are two members");
  const members: readonly [SupervisedMember, SupervisedMember] = [anchor, follower];
  const decoder = await createSupervisedDecoder({
    ...supervision,
    id: "decoder",
    start: faultyDecoder.start,
  });
  const engine = createEngine({
    ensemble: { ...ensemble, members, decoder },
    log: {
      append: async () => {},
      list: async () => [],
      find: async () => null,
      close: async () => {},
    },
    clock: timers,
    keepText: false,
    quorum,
  });
  closing.push(async () => {
    for (const one of [...faulty, faultyDecoder]) one.release();
    await Promise.all([...members, decoder].map((one) => one.close()));
  });
  return { engine, faulty, faultyDecoder, members };
}

const question = (index: number): Question => ({
  requestId: `q-${index}`,
  model: "concord",
  endpoint: "completions",
  prompt: { kind: "text", text: `Request ${index}:` },
  maxTokens: TOKENS,
  stop: [],
  sampling: { ...plainSampling, seed: index, logitBias: new Map([[257, -100]]) },
  topLogprobs: null,
  echo: false,
});

/** Asks, and after the third token breaks what is to be broken. */
async function ask(
  engine: Awaited<ReturnType<typeof openFaulty>>["engine"],
  index: number,
  breaking?: () => void,
): Promise<{ events: AnswerEvent[]; tookMs: number }> {
  const start = timers.monotonic();
  const events: AnswerEvent[] = [];
  for await (const event of engine.answer(question(index))) {
    events.push(event);
    if (events.length === 3) breaking?.();
  }
  return { events, tookMs: timers.monotonic() - start };
}

async function untilUp(members: readonly SupervisedMember[]): Promise<void> {
  for (let waited = 0; members.some(({ health }) => health.state !== "up"); waited++) {
    if (waited === 500) throw new Error("a member did not come back");
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

describe("an engine whose members are lost", () => {
  it(
    "gives 100 answers to 100 requests, whole, in time and marked, whoever crashes, hangs or gives no numbers",
    { timeout: 60_000 },
    async () => {
      const { engine, faulty, members } = await openFaulty();
      const breaking = new Map<number, { member: number; fault: Fault }>(
        FAULTS.flatMap((fault, f) =>
          [0, 1].map((member) => [10 * (2 * f + member), { member, fault }] as const),
        ),
      );
      let marked = 0;
      for (let index = 0; index < REQUESTS; index++) {
        const broken = breaking.get(index);
        if (broken) await untilUp(members);
        const { events, tookMs } = await ask(
          engine,
          index,
          broken && (() => faulty[broken.member]!.break(broken.fault)),
        );
        const end = events.at(-1);
        if (end?.type !== "end") throw new Error(`request ${index} has no end`);
        expect(end.usage.completionTokens).toBe(TOKENS);
        expect(tookMs).toBeLessThan(2 * TIMEOUT_MS);
        const lost = end.report.members.filter((member) => member.lost !== undefined);
        if (broken) {
          expect(lost.map(({ id }) => id)).toEqual([members[broken.member]!.info.id]);
          expect(lost[0]?.lost?.position).toBeGreaterThan(0);
          expect(lost[0]?.lost?.reason).not.toBe("");
        }
        if (lost.length > 0) marked++;
        for (const one of faulty) one.release();
      }
      expect(marked).toBeGreaterThanOrEqual(breaking.size);
      await untilUp(members);
      const { events } = await ask(engine, REQUESTS);
      const end = events.at(-1);
      expect(end?.type === "end" && end.report.members.every(({ lost }) => lost === undefined)).toBe(true);
      for (const one of faulty as readonly Faulty<unknown>[]) expect(one.starts).toBe(1 + FAULTS.length);
    },
  );

  it("does not answer with fewer members than the quorum, and says who is lost and why", async () => {
    const { engine, faulty } = await openFaulty(2);
    await expect(ask(engine, 0, () => faulty[1]!.break("crash"))).rejects.toMatchObject({
      code: "members_lost",
      message: expect.stringContaining("needs 2 of 2 members and 1 of them can be asked: second: it ended"),
    });
  });

  it("asks a decoder that crashed once more when it is back, and loses nobody", async () => {
    const { engine, faultyDecoder } = await openFaulty();
    const { events } = await ask(engine, 0, () => faultyDecoder.break("crash"));
    const end = events.at(-1);
    expect(end?.type === "end" && end.report.members.every(({ lost }) => lost === undefined)).toBe(true);
    expect(faultyDecoder.starts).toBe(2);
  });
});

import { describe, expect, it, test } from "vitest";
import {
  createSupervisedDecoder,
  createSupervisedEncoder,
  createSupervisedMember,
} from "../../src/ensemble/supervised-member.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { Health } from "../../src/ports/health.ts";
import type { Running } from "../../src/ensemble/supervisor.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import { describeLanguageModel } from "../contracts/language-model.ts";
import {
  createFaultyDecoder,
  createFaultyEncoder,
  createFaultyMember,
  FAULTS,
  type Faulty,
} from "../faulty-member.ts";
import { createManualTimers, turn, type ManualTimers } from "../manual-timers.ts";
import { createScriptedSource } from "../scripted-encoder.ts";
import { createScriptedMember } from "../scripted-member.ts";

const TIMEOUT_MS = 3000;
/** No jitter: the pause is the longest of its step. */
const LONGEST = () => 1;

describeLanguageModel("supervised", {
  open: () =>
    createSupervisedMember({
      id: "toy",
      start: createFaultyMember({ id: "toy" }).start,
      timers: createManualTimers(),
      random: LONGEST,
      timeoutMs: TIMEOUT_MS,
    }),
  closeness: 1 - 1e-6,
});

async function open(random: () => number = LONGEST) {
  const timers = createManualTimers();
  const faulty = createFaultyMember({ id: "toy" });
  const told: Health[] = [];
  const member = await createSupervisedMember({
    id: "toy",
    start: faulty.start,
    timers,
    random,
    timeoutMs: TIMEOUT_MS,
    onChange: (health) => told.push(health),
  });
  return { timers, faulty, member, told };
}

/** Lets time pass in small steps, each with turns of the event loop. */
async function pass(timers: ManualTimers, milliseconds: number, stepMs = 100): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += stepMs) {
    await turn();
    await turn();
    timers.advance(stepMs);
  }
  await turn();
  await turn();
}

/** How a call ended and when. */
async function outcome(timers: ManualTimers, call: Promise<unknown>) {
  const code = await call.then(
    () => "answered",
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
  return { code, atMs: timers.monotonic() };
}

/** Breaks the member and asks it, so that it is lost. */
async function lose(faulty: Faulty<unknown>, member: LanguageModel): Promise<void> {
  faulty.break("crash");
  await expect(member.openSequence().append([1])).rejects.toMatchObject({ code: "members_lost" });
}

/** Loses the member so many times, each as soon as it is back: the pauses before the next starts, milliseconds. */
async function pauses(
  { timers, faulty, member }: Awaited<ReturnType<typeof open>>,
  losses: number,
): Promise<number[]> {
  const made: number[] = [];
  for (let loss = 0; loss < losses; loss++) {
    await lose(faulty, member);
    const pauseMs = (member.health.restartsAt ?? 0) - timers.now();
    timers.advance(pauseMs - 1);
    await turn();
    expect(member.health.state).toBe("down");
    timers.advance(2);
    await turn();
    expect(member.health.state).toBe("up");
    made.push(pauseMs);
  }
  return made;
}

describe("a supervised member", () => {
  it.each(FAULTS)("that has a %s is lost, told, started again and good as new", async (fault) => {
    const { timers, faulty, member, told } = await open();
    const before = member.openSequence();
    const sound = await before.append([256, 1, 2]);
    faulty.break(fault);
    const asked = outcome(timers, before.append([3]));
    await pass(timers, fault === "hang" ? TIMEOUT_MS : 0);
    expect(await asked).toEqual({ code: "members_lost", atMs: fault === "hang" ? TIMEOUT_MS : 0 });
    expect(before.length).toBe(3);
    expect(faulty.abandoned).toBe(1);

    const restartsAt = timers.now() + 1000;
    expect(member.health).toMatchObject({ id: "toy", state: "down", restartsAt });
    expect(member.health.reason).toMatch(/code 7|out of paper|no answer within 3000 ms|finite/);
    expect(() => member.openSequence()).toThrow(`started again at ${new Date(restartsAt).toISOString()}`);
    await pass(timers, 1000);
    expect(member.health).toEqual({ id: "toy", state: "up", reason: null, restartsAt: null });
    expect(told.map(({ state }) => state)).toEqual(["up", "down", "starting", "up"]);
    // The one that held the old sequence is gone with all that it had read.
    await expect(before.append([3])).rejects.toMatchObject({ code: "members_lost" });
    const after = member.openSequence();
    expect((await after.append([256, 1, 2])).hidden).toEqual(sound.hidden);
  });

  it("that dies idle is started again though nobody asked it", async () => {
    const timers = createManualTimers();
    const deaths: ((error: Error) => void)[] = [];
    const start = async (): Promise<LanguageModel & Running> => ({
      ...createScriptedMember(),
      lost: new Promise((resolve) => void deaths.push(resolve)),
      abandon: async () => {},
    });
    const options = { id: "toy", start, timers, random: LONGEST, timeoutMs: TIMEOUT_MS };
    const member = await createSupervisedMember(options);
    deaths[0]?.(new Error("its worker ended with code 1"));
    await turn();
    expect(member.health).toMatchObject({ state: "down", reason: "its worker ended with code 1" });
    await pass(timers, 1000);
    expect([member.health.state, deaths.length]).toEqual(["up", 2]);
  });

  it("that hangs keeps nobody longer than the time-out, however many wait and whenever they came", async () => {
    const { timers, faulty, member } = await open();
    const [first, second] = [member.openSequence(), member.openSequence()];
    faulty.break("hang");
    const asked = [outcome(timers, first.append([1]))];
    await pass(timers, 600);
    asked.push(
      outcome(timers, second.append([1])),
      outcome(timers, member.head.decode(new Float32Array(16))),
    );
    await pass(timers, TIMEOUT_MS - 600);
    expect(await Promise.all(asked)).toEqual(asked.map(() => ({ code: "members_lost", atMs: TIMEOUT_MS })));
  });

  it("is not lost while it gives signs of life, nor over a question that waits for others", async () => {
    const timers = createManualTimers();
    const scripted = createScriptedMember();
    /** Answers in order, each in three parts of 2,700 ms that let the others have theirs between. */
    const parts: (() => void)[] = [];
    const slow = async (): Promise<LanguageModel & Running> => ({
      ...scripted,
      openSequence() {
        const sequence = scripted.openSequence();
        return {
          ...sequence,
          async append(tokens, options) {
            for (let part = 0; part < 3; part++) {
              await new Promise<void>((resolve) => void parts.push(resolve));
              if (part < 2) options?.onProgress?.();
            }
            return sequence.append(tokens, options);
          },
        };
      },
      lost: new Promise(() => {}),
      abandon: async () => {},
    });
    const options = { id: "toy", start: slow, timers, random: LONGEST, timeoutMs: TIMEOUT_MS };
    const member = await createSupervisedMember(options);
    const asked = [1, 2, 3].map(() => outcome(timers, member.openSequence().append([1])));
    for (let part = 0; part < 9; part++) {
      await pass(timers, 2700, 300);
      parts.shift()?.();
    }
    const codes = (await Promise.all(asked)).map(({ code }) => code);
    expect(codes).toEqual(["answered", "answered", "answered"]);
    expect(timers.monotonic()).toBe(24_300);
  });

  it("is not lost over a question that was wrong or called off", async () => {
    const { member, faulty } = await open();
    const sequence = member.openSequence();
    await expect(sequence.append(new Int32Array(3000))).rejects.toMatchObject({
      code: "context_length_exceeded",
    });
    await expect(sequence.append([1], { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "cancelled",
    });
    await expect(member.head.decode(new Float32Array(3))).rejects.toThrow(RangeError);
    expect([member.health.state, faulty.abandoned, sequence.length]).toEqual(["up", 0, 0]);
  });

  it("is started after pauses that double up to a minute, and fall to a second after one that went well", async () => {
    const opened = await open();
    expect(await pauses(opened, 9)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    opened.timers.advance(60_001);
    expect(await pauses(opened, 1)).toEqual([1000]);
  });

  it("has jitter from its source: the same seed, the same pauses, from half to all of each", async () => {
    const drawn: number[][] = [];
    for (const seed of [1, 1, 2]) drawn.push(await pauses(await open(createRandom(seed).next), 6));
    const [first = [], again, other] = drawn;
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
    for (const [n, pause] of first.entries()) {
      expect(pause).toBeGreaterThanOrEqual(500 * 2 ** n);
      expect(pause).toBeLessThanOrEqual(1000 * 2 ** n);
    }
  });

  it("whose start fails or hangs is started again after the next pause", async () => {
    const { timers, faulty, member } = await open();
    faulty.nextStart("fails");
    await lose(faulty, member);
    await pass(timers, 1000);
    expect(member.health).toMatchObject({ state: "down", reason: "it does not start" });
    faulty.nextStart("hangs");
    await pass(timers, 2000);
    expect(member.health).toMatchObject({ state: "starting", restartsAt: null });
    await pass(timers, 10 * TIMEOUT_MS);
    expect(member.health).toMatchObject({ state: "down", reason: "it did not start within 30000 ms" });
    await pass(timers, 4000);
    expect([member.health.state, faulty.starts]).toEqual(["up", 4]);
    // The late one is not wanted any more.
    const given = faulty.abandoned;
    faulty.release();
    await turn();
    expect(faulty.abandoned).toBe(given + 1);
    expect((await member.openSequence().append([1])).rows).toBe(1);
  });

  it("is not started while two that hang still hold their memory", async () => {
    const { timers, faulty, member } = await open();
    for (let loss = 0; loss < 2; loss++) {
      faulty.break("hang");
      const asked = outcome(timers, member.openSequence().append([1]));
      await pass(timers, TIMEOUT_MS);
      expect((await asked).code).toBe("members_lost");
      if (loss === 0) await pass(timers, 1000);
    }
    await pass(timers, 30_000, 1000);
    expect(faulty.starts).toBe(2);
    expect(member.health.reason).toBe(
      "no answer within 3000 ms; 2 that were given up before still compute and hold their memory",
    );
    faulty.release();
    await pass(timers, 60_000, 1000);
    expect([member.health.state, faulty.starts]).toEqual(["up", 3]);
  });

  it.each(["up", "down", "starting"])("closed while it is %s is not started again", async (state) => {
    const { timers, faulty, member } = await open();
    if (state !== "up") await lose(faulty, member);
    if (state === "starting") {
      faulty.nextStart("hangs");
      await pass(timers, 1000);
    }
    expect(member.health.state).toBe(state);
    const { starts } = faulty;
    await member.close();
    faulty.release();
    await pass(timers, 100_000, 10_000);
    expect([faulty.starts, timers.waiting]).toEqual([starts, 0]);
    expect(() => member.openSequence()).toThrow("toy cannot be asked: it was closed");
  });

  it("whose first start fails is no member", async () => {
    const faulty = createFaultyMember({ id: "toy" });
    faulty.nextStart("fails");
    const timers = createManualTimers();
    const options = { id: "toy", start: faulty.start, timers, random: LONGEST, timeoutMs: TIMEOUT_MS };
    await expect(createSupervisedMember(options)).rejects.toThrow("toy: it does not start");
    expect(timers.waiting).toBe(0);
  });
});

describe("a supervised decoder", () => {
  const { head } = createScriptedMember();
  const states = new Float32Array(head.width).fill(0.5);

  async function openDecoder() {
    const timers = createManualTimers();
    const faulty = createFaultyDecoder("the decoder", head);
    const options = { id: "the decoder", start: faulty.start, timers, random: LONGEST };
    const decoder = await createSupervisedDecoder({ ...options, timeoutMs: TIMEOUT_MS });
    return { timers, faulty, decoder };
  }

  test.each(FAULTS)("that has a %s is asked again when it is back", async (fault) => {
    const { timers, faulty, decoder } = await openDecoder();
    faulty.break(fault);
    const asked = decoder.decode(states);
    await pass(timers, fault === "hang" ? TIMEOUT_MS + 1000 : 1000);
    expect(await asked).toEqual(await head.decode(states));
    expect([decoder.health.state, faulty.starts]).toEqual(["up", 2]);
  });

  test("that does not come back is waited for no longer than the time-out", async () => {
    const { timers, faulty, decoder } = await openDecoder();
    faulty.neverStart();
    faulty.break("error");
    const asked = outcome(timers, decoder.decode(states));
    await pass(timers, 10_000);
    expect(await asked).toEqual({ code: "members_lost", atMs: TIMEOUT_MS });
  });
});

describe("a supervised sentence encoder", () => {
  it.each(FAULTS)("that has a %s is lost within the time-out, and back after the pause", async (fault) => {
    const timers = createManualTimers();
    const { encoder: scripted } = await createScriptedSource("toy").open();
    const faulty = createFaultyEncoder(scripted);
    const options = { id: "toy", start: faulty.start, timers, random: LONGEST, timeoutMs: TIMEOUT_MS };
    const encoder = await createSupervisedEncoder(options);
    const read = () => encoder.encode(["one", "three"], { layers: [1, 2] });
    const sound = await read();
    faulty.break(fault);
    const asked = outcome(timers, read());
    await pass(timers, fault === "hang" ? TIMEOUT_MS : 0);
    expect(await asked).toEqual({ code: "members_lost", atMs: fault === "hang" ? TIMEOUT_MS : 0 });
    await expect(read()).rejects.toMatchObject({ code: "members_lost" });
    await pass(timers, 1000);
    expect(encoder.health.state).toBe("up");
    expect(await read()).toEqual(sound);
  });
});

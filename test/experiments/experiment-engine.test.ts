import { describe, expect, it } from "vitest";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Question } from "../../src/ports/engine.ts";
import { endless, failing, greeting } from "../scripted-engine.ts";
import { ask, by, definition, endOf, gate, MEMBER, openTestExperiments, running } from "./harness.ts";

const choices = ["yes", "no"].map((value) => ({ value, text: value }));
const never = new AbortController().signal;
const isShadow = ({ requestId }: Question): boolean => requestId.endsWith("-shadow");

/** Answers all but shadows, which wait for the gate, or for the end of everything. */
function heldShadows(held: Promise<void>) {
  return async function* answer(question: Question) {
    if (isShadow(question)) {
      const ended = new Promise<void>((resolve) => {
        question.signal?.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.race([held, ended]);
      if (question.signal?.aborted) throw new GatewayError("cancelled", "cut off");
    }
    yield* greeting(question);
  };
}

describe("an experiment's answers", () => {
  it("is by the arm of its user, always the same, and it says which", async () => {
    const { engine, asked } = await running({ unit: "user" });
    const arms = new Map<string, Set<string>>();
    for (let i = 0; i < 40; i++) {
      const user = `user-${i % 10}`;
      const { experiment } = await endOf(engine.answer(ask(`r${i}`, by(user))));
      expect(experiment).toMatchObject({ name: "fusion", recorded: true });
      arms.set(user, (arms.get(user) ?? new Set<string>()).add(experiment?.arm ?? ""));
    }
    expect([...arms.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set(asked.questions.map(({ model }) => model))).toEqual(new Set(["concord", MEMBER]));
  });

  it("is an exposure by the time its end is told", async () => {
    const { engine, store } = await running();
    await endOf(engine.answer(ask("r1", { choices })));
    expect(await store.exposures("r1")).toMatchObject([
      {
        status: "answered",
        role: "returned",
        unit: "r1",
        completionTokens: 2,
        chosen: 0,
        promptCharacters: 6,
      },
    ]);
  });

  it("is an exposure where it fails or its client goes away", async () => {
    const broken = await running({}, failing(new GatewayError("members_lost", "gone")));
    await expect(endOf(broken.engine.answer(ask("r1")))).rejects.toThrow("gone");
    expect(await broken.store.exposures("r1")).toMatchObject([{ status: "failed", latencyMs: null }]);
    const left = await running({}, (question) => endless(question, 0));
    for await (const event of left.engine.answer(ask("r1"))) {
      expect(event.type).toBe("delta");
      break;
    }
    expect(await left.store.exposures("r1")).toMatchObject([{ status: "cancelled" }]);
  });

  it("is a sample of an experiment that is stopped while it is made, and feedback on it counts", async () => {
    const held = gate();
    const { engine, experiments, desk } = await running({}, async function* late(question) {
      await held.opened;
      yield* greeting(question);
    });
    const answers = Array.from({ length: 20 }, (_, i) => endOf(engine.answer(ask(`r${i}`))));
    await Promise.resolve();
    await experiments.routed("experiment:fusion");
    await experiments.stop("fusion", null);
    held.open();
    const ends = await Promise.all(answers);
    const recorded = ends.filter(({ experiment }) => experiment?.recorded);
    expect(recorded).toHaveLength(20);
    for (const { report } of recorded) {
      await desk.give({
        metric: "correct",
        value: true,
        about: { requestId: report.requestId },
        tags: {},
        dryRun: false,
      });
    }
    expect(await experiments.observations("fusion", "correct")).toHaveLength(20);
  });

  it("is the control's while it does not run, the winner's after it, and then no sample", async () => {
    const { engine, experiments, store, asked } = await openTestExperiments();
    await experiments.create(definition());
    const part = async (id: string) => (await endOf(engine.answer(ask(id)))).experiment;
    expect(await part("r1")).toEqual({ name: "fusion", arm: "member", recorded: false });
    await experiments.start("fusion");
    await experiments.pause("fusion");
    expect(await part("r2")).toEqual({ name: "fusion", arm: "member", recorded: false });
    await experiments.stop("fusion", "ensemble");
    expect(await part("r3")).toEqual({ name: "fusion", arm: "ensemble", recorded: false });
    expect(asked.questions.map(({ model }) => model)).toEqual([MEMBER, MEMBER, "concord"]);
    expect(await store.counts("fusion")).toEqual([]);
  });

  it("needs what it assigns by, unless the request came by the default route", async () => {
    const { engine, store } = await running({ unit: "user", defaultFor: "concord" });
    await expect(endOf(engine.answer(ask("r1")))).rejects.toThrow(/assigns by user/);
    expect((await endOf(engine.answer(ask("r2", { model: "concord" })))).experiment).toBeUndefined();
    const routed = await endOf(engine.answer(ask("r3", { model: "concord", ...by("ann") })));
    expect(routed.experiment).toMatchObject({ name: "fusion", recorded: true });
    expect(await store.exposures("r2")).toEqual([]);
  });

  it("leaves other models alone, and lists itself with the shortest context of its arms", async () => {
    const { engine } = await running();
    expect((await endOf(engine.answer(ask("r1", { model: MEMBER })))).experiment).toBeUndefined();
    expect(engine.models().at(-1)).toMatchObject({ id: "experiment:fusion", contextLength: 2048 });
  });
});

describe("a pair", () => {
  const paired = { mode: "paired_shadow", returned: { arm: "ensemble" } } as const;

  it("has two exposures of one request, the shadow's under its own id", async () => {
    const { engine, store, asked } = await running(paired);
    const { experiment } = await endOf(engine.answer(ask("r1")));
    expect(experiment).toEqual({
      name: "fusion",
      arm: "ensemble",
      recorded: true,
      shadow: { arm: "member", requestId: "r1-shadow" },
    });
    await engine.drain(never);
    expect(await store.exposures("r1")).toMatchObject([
      { answerId: "r1", arm: "ensemble", role: "returned", status: "answered" },
      { answerId: "r1-shadow", arm: "member", role: "shadow", status: "answered", requestId: "r1" },
    ]);
    expect(asked.questions.map(({ experiment: one }) => one?.arm)).toEqual(["ensemble", "member"]);
  });

  it("answers although no shadow ever does", async () => {
    const { engine } = await running(paired, heldShadows(gate().opened));
    for (let i = 0; i < 10; i++) {
      const end = await endOf(engine.answer(ask(`r${i}`)));
      expect(end.experiment?.recorded).toBe(true);
    }
    await engine.drain(AbortSignal.abort());
  });

  it("runs so many shadows at once, keeps so many, and counts the others as dropped", async () => {
    const held = gate();
    const { engine, store, asked } = await running(paired, heldShadows(held.opened), {
      concurrency: 2,
      capacity: 3,
    });
    for (let i = 0; i < 8; i++) await endOf(engine.answer(ask(`r${i}`)));
    expect(asked.questions.filter(isShadow)).toHaveLength(2);
    held.open();
    await engine.drain(never);
    const shadows = (await store.counts("fusion")).filter(({ role }) => role === "shadow");
    expect(Object.fromEntries(shadows.map(({ status, answers }) => [status, answers]))).toEqual({
      answered: 5,
      dropped: 3,
    });
  });

  it("loses no shadow when it is stopped, and none uncounted when the gateway is", async () => {
    const held = gate();
    const { engine, experiments, store } = await running(paired, heldShadows(held.opened));
    for (let i = 0; i < 5; i++) await endOf(engine.answer(ask(`r${i}`)));
    await experiments.stop("fusion", null);
    await engine.drain(AbortSignal.abort());
    const shadows = (await store.counts("fusion")).filter(({ role }) => role === "shadow");
    expect(Object.fromEntries(shadows.map(({ status, answers }) => [status, answers]))).toEqual({
      cancelled: 1,
      dropped: 4,
    });
  });

  it("tells of a shadow that fails, and answers", async () => {
    const { engine, store, failures } = await running(paired, function* fail(question) {
      if (isShadow(question)) throw new Error("broken");
      yield* greeting(question);
    });
    await endOf(engine.answer(ask("r1")));
    await engine.drain(never);
    expect((await store.exposures("r1")).map(({ status }) => status)).toEqual(["answered", "failed"]);
    expect(failures).toHaveLength(1);
  });
});

import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import type { AnswerEvent, Question } from "../../src/ports/engine.ts";
import { plainSampling } from "../../src/ports/engine.ts";
import type { Alert, ObservationWriter } from "../../src/ports/observations.ts";
import type { SettledSignal } from "../../src/ports/telemetry.ts";
import { createWatch, type WatchOptions, type WatchState } from "../../src/watch/watch.ts";
import { createManualTimers, turn } from "../manual-timers.ts";
import { createScriptedEngine, ending, failing, greeting, type Script } from "../scripted-engine.ts";
import { createScriptedMember } from "../scripted-member.ts";

const members = ["smollm2-135m-instruct", "gemma-3-270m"].map((id, m) =>
  createScriptedMember({ id, seed: m + 1 }),
);

function question(fields: Partial<Question> = {}): Question {
  return {
    requestId: "request",
    model: "concord",
    endpoint: "completions",
    prompt: { kind: "text", text: "Say" },
    maxTokens: null,
    stop: [],
    sampling: plainSampling,
    topLogprobs: null,
    echo: false,
    ...fields,
  };
}

/** Answers whose divergence is drawn around `level()`. */
function diverging(level: () => number, fields: { readonly lost?: boolean } = {}): Script {
  const random = createRandom(9);
  return function* (asked): Generator<AnswerEvent> {
    const end = ending(asked);
    if (end.type !== "end") throw new Error("expected an end");
    const { report } = end;
    const agreement = { ...report.agreement, jsDivergence: level() + 0.05 * random.normal() };
    const lost = fields.lost ? { lost: { position: 1, reason: "gone" } } : {};
    yield {
      ...end,
      report: {
        ...report,
        agreement,
        members: report.members.map((member) => Object.assign({}, member, lost)),
      },
    };
  };
}

function watching(options: Partial<WatchOptions> = {}) {
  const timers = createManualTimers();
  const told = {
    logged: [] as Alert[],
    alerts: [] as Alert[],
    settled: [] as SettledSignal[],
    posted: [] as Alert[],
    saved: [] as WatchState[],
    failures: [] as unknown[],
  };
  const writer: ObservationWriter = {
    appendAlert: async (alert) => void told.logged.push(alert),
    appendSimilarities: async () => {},
  };
  const watch = createWatch({
    members,
    writer,
    timers,
    random: () => 0,
    falseAlarmEvery: 100_000,
    referenceLength: 100,
    similarityEvery: 0,
    state: null,
    save: async (state) => void told.saved.push(JSON.parse(JSON.stringify(state)) as WatchState),
    telemetry: {
      alertRaised: (alert) => void told.alerts.push(alert),
      signalSettled: (signal) => void told.settled.push(signal),
    },
    webhook: { send: (alert) => void told.posted.push(alert) },
    onFailure: (error) => told.failures.push(error),
    ...options,
  });
  return { watch, timers, ...told };
}

async function ask(
  engine: ReturnType<ReturnType<typeof createWatch>["watched"]>,
  count: number,
  fields = {},
) {
  const events: AnswerEvent[] = [];
  for (let i = 0; i < count; i++)
    for await (const event of engine.answer(question(fields))) events.push(event);
  return events;
}

describe("a watched engine", () => {
  test("answers as it did", async () => {
    const plain = createScriptedEngine();
    const watched = watching().watch.watched(createScriptedEngine());
    expect(await ask(watched, 2)).toEqual([...greeting(question()), ...greeting(question())]);
    expect(watched.models()).toEqual(plain.models());
    const error = new Error("broken");
    const failed = watching();
    await expect(ask(failed.watch.watched(createScriptedEngine(failing(error))), 1)).rejects.toBe(error);
    expect(failed.failures).toEqual([]);
  });

  test("tells the log, telemetry and the webhook of a signal that moves, once", async () => {
    let level = 0.2;
    const { watch, ...told } = watching();
    const engine = watch.watched(createScriptedEngine(diverging(() => level)));
    await ask(engine, 200);
    expect(told.alerts).toEqual([]);
    expect(told.settled).toContainEqual({ signal: "js_divergence", member: null, how: "learned" });
    level = 0.5;
    await ask(engine, 90);
    expect(told.alerts).toMatchObject([{ signal: "js_divergence", member: null, direction: "up" }]);
    expect([told.logged, told.posted]).toEqual([told.alerts, told.alerts]);
    expect(told.failures).toEqual([]);
  });

  test("learns nothing from answers by one member, by fewer than all, or of which nothing is known", async () => {
    for (const [script, fields] of [
      [diverging(() => 0.2), { model: "gemma-3-270m" }],
      [diverging(() => 0.2, { lost: true }), {}],
    ] as const) {
      const { watch, saved } = watching();
      await ask(watch.watched(createScriptedEngine(script)), 120, fields);
      await watch.close();
      const phases = Object.values(saved.at(-1)?.drift ?? {}).map(({ recent }) => recent.length);
      expect(new Set(phases)).toEqual(new Set([0]));
    }
  });

  test("goes on after a restart with the reference it had", async () => {
    let level = 0.2;
    const first = watching();
    await ask(first.watch.watched(createScriptedEngine(diverging(() => level))), 150);
    await first.watch.close();
    const state = first.saved.at(-1) ?? null;
    expect(state?.drift["js_divergence"]?.reference).toHaveLength(100);
    level = 0.5;
    const second = watching({ state });
    await ask(second.watch.watched(createScriptedEngine(diverging(() => level))), 60);
    expect(second.alerts).toMatchObject([{ signal: "js_divergence", direction: "up" }]);
    expect(second.alerts[0]?.reference).toBeCloseTo(0.2, 1);
  });

  test("keeps what it learns every minute while it learns, and at once when a signal moves", async () => {
    let level = 0.2;
    const { watch, timers, saved } = watching();
    const engine = watch.watched(createScriptedEngine(diverging(() => level)));
    await ask(engine, 50);
    expect(saved).toEqual([]);
    timers.advance(60_000);
    await turn();
    expect(saved.map(({ drift }) => drift["js_divergence"]?.recent.length)).toEqual([50]);
    await ask(engine, 50);
    const kept = saved.length;
    level = 0.6;
    await ask(engine, 60);
    await turn();
    expect(saved.length).toBeGreaterThan(kept);
    expect(saved.at(-1)?.drift["js_divergence"]?.phase).toBe("raised");
  });

  test("hears of confidences that stop being calibrated", () => {
    const { watch, alerts } = watching();
    const random = createRandom(10);
    const judged = (right: number): void => {
      const confidence = 0.6 + 0.4 * random.next();
      watch.judged({ confidence, correct: random.next() < confidence * right });
    };
    for (let i = 0; i < 300; i++) judged(1);
    expect(alerts).toEqual([]);
    for (let i = 0; i < 200; i++) judged(0.2);
    expect(alerts).toMatchObject([{ signal: "calibration_error", direction: "up" }]);
  });

  test("is not hurt by a log that cannot be written, nor by a place to save that is gone", async () => {
    const broken = new Error("the disk is full");
    let level = 0.2;
    const { watch, alerts, failures } = watching({
      writer: {
        appendAlert: () => Promise.reject(broken),
        appendSimilarities: () => Promise.reject(broken),
      },
      save: () => Promise.reject(broken),
    });
    const engine = watch.watched(createScriptedEngine(diverging(() => level)));
    await ask(engine, 100);
    level = 0.6;
    await ask(engine, 60);
    await watch.close();
    expect(alerts).toHaveLength(1);
    expect(new Set(failures)).toEqual(new Set([broken]));
  });

  test("re-reads an answered text only when nobody waits", async () => {
    const reads: number[] = [];
    const counted = members.map((member, m) =>
      Object.assign({}, member, {
        openSequence() {
          reads.push(m);
          return member.openSequence();
        },
      }),
    );
    const { watch, timers } = watching({ members: counted, similarityEvery: 1 });
    const engine = watch.watched(createScriptedEngine());
    const waited = createManualTimers();
    const embedding = watch.during(
      () =>
        new Promise<void>((resolve) => {
          waited.after(1, resolve);
        }),
    );
    await ask(engine, 1);
    timers.advance(10_000);
    await turn();
    expect(reads).toEqual([]);
    waited.advance(1);
    await embedding;
    timers.advance(10_000);
    for (let i = 0; i < 20; i++) await turn();
    expect(reads).toEqual([0, 1]);
    await watch.close();
  });
});

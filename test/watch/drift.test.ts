import { describe, expect, test } from "vitest";
import { createRandom, type Random } from "../../src/linalg/random.ts";
import type { Alert } from "../../src/ports/observations.ts";
import { createDrift, type Drift } from "../../src/watch/drift.ts";
import type { Signal, SignalValue } from "../../src/watch/signals.ts";
import golden from "../golden/live-signals.json" with { type: "json" };

/** Signals of real short answers, one row each: see live-signals.ts. */
type Answers = readonly (readonly (number | null)[])[];

const signals = golden.signals as Signal[];
const normal: Answers = golden.normal;
/** By the noise on one member's map, over the map's own size. */
const perturbed: Readonly<Record<string, Answers>> = golden.perturbed;

const settings = { signals, falseAlarmEvery: 1_000_000, referenceLength: 500, tolerance: 0.05 };

function valuesOf(row: readonly (number | null)[]): SignalValue[] {
  return signals.flatMap((signal, i) => {
    const value = row[i] ?? null;
    return value === null ? [] : [{ ...signal, value }];
  });
}

/** So many answers drawn again and again from recorded ones: their alerts, and when each came. */
function draw(drift: Drift, answers: Answers, count: number, random: Random) {
  const alerts: { readonly answer: number; readonly alert: Alert }[] = [];
  for (let answer = 1; answer <= count; answer++) {
    const row = answers[random.integer(answers.length)] ?? [];
    alerts.push(...drift.observe(valuesOf(row), answer).alerts.map((alert) => ({ answer, alert })));
  }
  return alerts;
}

/** Has its reference, of answers as they are. */
function watching(seed: number, options = settings): { drift: Drift; random: Random } {
  const random = createRandom(seed);
  const drift = createDrift(options);
  draw(drift, normal, options.referenceLength, random);
  return { drift, random };
}

describe("signals of real answers", () => {
  test("raise no alert in 20,000 answers while nothing changes, in any of four runs", () => {
    for (let seed = 1; seed <= 4; seed++) {
      const { drift, random } = watching(seed);
      expect(draw(drift, normal, 20_000, random)).toEqual([]);
    }
  });

  test("raise false alerts no more often than is stated", () => {
    const often = { ...settings, falseAlarmEvery: 1000, tolerance: 0 };
    const runs = 60;
    let raised = 0;
    for (let seed = 0; seed < runs; seed++) {
      const { drift, random } = watching(1000 + seed, often);
      if (draw(drift, normal, 200, random).length > 0) raised++;
    }
    // A fifth of the runs at most; three standard deviations more.
    expect(raised / runs).toBeLessThan(0.2 + 3 * Math.sqrt((0.2 * 0.8) / runs));
  });

  test.each(["0.5", "1"])(
    "flag a map with noise of %s of its size within 200 answers, every time",
    (noise) => {
      for (let seed = 1; seed <= 30; seed++) {
        const { drift, random } = watching(seed);
        expect(draw(drift, normal, 300, random)).toEqual([]);
        const [first] = draw(drift, perturbed[noise] ?? [], 200, random);
        expect(first?.alert).toMatchObject({ falseAlarmRate: 1e-6 });
      }
    },
  );

  test("say whose signal moved, which way, from what to what", () => {
    const { drift, random } = watching(1);
    const alerts = draw(drift, perturbed["1"] ?? [], 200, random).map(({ alert }) => alert);
    const divergence = alerts.find(({ signal }) => signal === "js_divergence");
    expect(divergence).toMatchObject({ member: null, direction: "up" });
    expect(divergence?.reference).toBeCloseTo(0.21, 1);
    expect(divergence?.value).toBeCloseTo(0.55, 1);
    const weight = alerts.find(
      ({ signal, member }) => signal === "weight_share" && member === "gemma-3-270m",
    );
    expect(weight).toMatchObject({ direction: "down" });
    // Each once, however long it stays away.
    const keys = alerts.map(({ signal, member }) => `${signal} ${member}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("are held against the same reference after a restart", () => {
    const { drift } = watching(3);
    const stored = JSON.parse(JSON.stringify(drift.state)) as Drift["state"];
    const restarted = createDrift({ ...settings, state: stored });
    expect(restarted.state).toEqual(drift.state);
    const [first] = draw(restarted, perturbed["1"] ?? [], 200, createRandom(4));
    expect(first?.alert.reference).toBeGreaterThan(0);
  });

  test("that nobody watches count for nothing", () => {
    const drift = createDrift({ ...settings, signals: [] });
    const value: SignalValue = { name: "confidence", member: null, value: 1 };
    expect(drift.observe([value], 0)).toEqual({ alerts: [], settled: [], learned: false });
  });
});

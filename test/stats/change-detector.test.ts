import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRandom, type Random } from "../../src/linalg/random.ts";
import { createChangeDetector } from "../../src/stats/change-detector.ts";

const draw = (count: number, value: () => number): number[] => Array.from({ length: count }, value);

/** Kinds of per-request signals: skewed with a heavy tail, no mean at all, a share of few tokens, yes or no. */
const signals: Record<string, (random: Random, shift: number) => number> = {
  "log-normal": (random, shift) => Math.exp(1.5 * random.normal() + shift * 1.5),
  cauchy: (random, shift) => Math.tan(Math.PI * (random.next() - 0.5)) + 1.7 * shift,
  "share of 8": (random, shift) =>
    draw(8, () => Number(random.next() < 0.7 - 0.16 * shift)).reduce((a, b) => a + b) / 8,
  "yes or no": (random, shift) => Number(random.next() < 0.3 + 0.46 * shift),
};

describe.each(Object.entries(signals))("a change detector on a %s signal", (_name, signal) => {
  test("gives no alarm in 20,000 in-control requests, at one in 1,000,000, on 20 reference windows of 500", () => {
    const random = createRandom(1);
    let alarms = 0;
    for (let stream = 0; stream < 20; stream++) {
      const detector = createChangeDetector({
        reference: draw(500, () => signal(random, 0)),
        falseAlarmEvery: 1_000_000,
      });
      for (let t = 0; t < 20_000; t++) if (detector.observe(signal(random, 0)) !== null) alarms++;
    }
    // At most 0.4 are expected.
    expect(alarms).toBe(0);
  });

  test("flags a change of about a standard deviation within 200 requests, on each of 100 streams", () => {
    const random = createRandom(2);
    for (let stream = 0; stream < 100; stream++) {
      const detector = createChangeDetector({
        reference: draw(500, () => signal(random, 0)),
        falseAlarmEvery: 1_000_000,
      });
      for (let t = 0; t < 500; t++) expect(detector.observe(signal(random, 0))).toBeNull();
      let delay = 1;
      while (detector.observe(signal(random, 1)) === null) delay++;
      expect(delay).toBeLessThanOrEqual(200);
    }
  });
});

describe("createChangeDetector", () => {
  test("alarms no more than once in N in-control observations, however small N", () => {
    const random = createRandom(3);
    for (const falseAlarmEvery of [20, 200]) {
      let alarms = 0;
      for (let stream = 0; stream < 400; stream++) {
        const detector = createChangeDetector({ reference: draw(100, random.normal), falseAlarmEvery });
        for (let t = 0; t < 1000; t++) if (detector.observe(random.normal()) !== null) alarms++;
      }
      expect(alarms).toBeGreaterThan(0);
      expect(alarms).toBeLessThanOrEqual(400_000 / falseAlarmEvery);
    }
  });

  test("says which way the stream went, how far, and about since when", () => {
    const random = createRandom(4);
    for (const [direction, sign] of [
      ["up", 1],
      ["down", -1],
    ] as const) {
      const detector = createChangeDetector({
        reference: draw(1000, random.normal),
        falseAlarmEvery: 100_000,
      });
      for (let t = 0; t < 3000; t++) detector.observe(random.normal());
      let alarm = null;
      let delay = 0;
      for (; alarm === null; delay++) alarm = detector.observe(random.normal() + sign);
      expect(alarm.direction).toBe(direction);
      expect(Math.abs(alarm.observationsSinceChange - delay)).toBeLessThanOrEqual(15);
      // Φ(1/√2) = .76.
      expect(Math.abs(alarm.superiority - (0.5 + sign * 0.26))).toBeLessThan(0.12);
      expect(detector.evidence).toBe(0);
    }
  });

  test("leaves alone a change that its tolerance allows, which it would find without", () => {
    const random = createRandom(5);
    const reference = draw(5000, random.normal);
    const stream = draw(5000, () => random.normal() + 0.2);
    const alarms = (tolerance: number): number => {
      const detector = createChangeDetector({ reference, falseAlarmEvery: 10_000, tolerance });
      return stream.filter((x) => detector.observe(x) !== null).length;
    };
    // Φ(0.2/√2) = .556.
    expect(alarms(0)).toBeGreaterThan(0);
    expect(alarms(0.06)).toBe(0);
  });

  test("does not depend on the signal's unit or on any other strictly increasing change of it", () => {
    const value = fc.double({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 30, maxLength: 60 }),
        fc.array(value, { maxLength: 80 }),
        (reference, stream) => {
          const places = (f: (x: number) => number): unknown[] => {
            const detector = createChangeDetector({ reference: reference.map(f), falseAlarmEvery: 5 });
            return stream.map((x) => [detector.observe(f(x)), detector.evidence]);
          };
          expect(places((x) => 1024 * x)).toEqual(places((x) => x));
        },
      ),
    );
  });

  test("takes a reference that is all one value: others are a change, the same is none", () => {
    const detector = createChangeDetector({ reference: draw(200, () => 1), falseAlarmEvery: 1e6 });
    for (let t = 0; t < 20_000; t++) expect(detector.observe(1)).toBeNull();
    let delay = 1;
    while (detector.observe(0.999) === null) delay++;
    expect(delay).toBeLessThan(50);
  });

  test("refuses too few values, NaN, and a rate or tolerance out of range", () => {
    const reference = draw(30, () => 0);
    expect(() => createChangeDetector({ reference: [1, 2], falseAlarmEvery: 100 })).toThrow(/30 or more.*2/);
    expect(() =>
      createChangeDetector({ reference: [...reference, Number.NaN], falseAlarmEvery: 100 }),
    ).toThrow(RangeError);
    expect(() => createChangeDetector({ reference, falseAlarmEvery: 1 })).toThrow(/falseAlarmEvery/);
    expect(() => createChangeDetector({ reference, falseAlarmEvery: 100, tolerance: 0.3 })).toThrow(
      /tolerance/,
    );
    expect(() => createChangeDetector({ reference, falseAlarmEvery: 100 }).observe(Number.NaN)).toThrow(
      /NaN/,
    );
  });
});

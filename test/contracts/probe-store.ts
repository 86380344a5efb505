import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { Probe, ProbeStore } from "../../src/ports/probe-store.ts";

/** A probe with everything in it that a store has to keep, as a fit would hand it over. */
export function createProbe(changes: Partial<Probe> = {}): Omit<Probe, "version"> {
  return {
    name: "tone",
    createdAt: 1_750_000_000_000,
    task: "classification",
    labels: ["bad", "good", 'Grüße, "x"; --'],
    members: ["first", "second"],
    space: "space-1",
    depth: "deep",
    dimension: 2,
    ridge: 0.1 + 0.2,
    examples: 50,
    metrics: {
      task: "classification",
      folds: 5,
      accuracy: 0.75,
      majority: 0.5,
      logLoss: 0.625,
      calibrationError: 0.03,
    },
    calibrations: [{ members: ["first"], temperature: 1.25 }],
    weights: Float32Array.of(0.1, -0.2, Number.EPSILON, -1e30, 1, -0),
    bias: Float32Array.of(0.5, -0.25, 0),
    ...changes,
  };
}

/** What every probe store does. `open` gives an empty one each time. */
export function describeProbeStore(name: string, open: () => Promise<ProbeStore>): void {
  describe(`probe store over ${name}`, () => {
    let store: ProbeStore;
    beforeEach(async () => {
      store = await open();
    });

    test("a probe is found as it was written, to the last bit, as version 1", async () => {
      const probe = createProbe();
      expect(await store.add(probe)).toStrictEqual({ ...probe, version: 1 });
      expect(await store.find("tone")).toStrictEqual({ ...probe, version: 1 });
    });

    test("a regression without metrics is found as it was written", async () => {
      const probe = createProbe({
        task: "regression",
        labels: [],
        metrics: null,
        calibrations: [],
        weights: Float32Array.of(1, 2),
        bias: Float32Array.of(3),
      });
      await store.add(probe);
      expect(await store.find("tone")).toStrictEqual({ ...probe, version: 1 });
    });

    test("a second probe of a name is version 2, and version 1 stays what it was", async () => {
      const first = createProbe();
      const second = createProbe({ labels: ["a", "b", "c"], weights: Float32Array.of(6, 5, 4, 3, 2, 1) });
      await store.add(first);
      expect((await store.add(second)).version).toBe(2);
      expect(await store.find("tone")).toStrictEqual({ ...second, version: 2 });
      expect(await store.find("tone", 1)).toStrictEqual({ ...first, version: 1 });
      expect(await store.find("tone", 3)).toBeNull();
    });

    test("writers at the same time get different versions", async () => {
      const added = await Promise.all(Array.from({ length: 20 }, () => store.add(createProbe())));
      expect(added.map(({ version }) => version).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
    });

    test("the list has every version without weights, by name, the newest first", async () => {
      for (const probe of ["tone", "spam", "tone"]) await store.add(createProbe({ name: probe }));
      const listed = await store.list();
      expect(listed.map((probe) => [probe.name, probe.version])).toEqual([
        ["spam", 1],
        ["tone", 2],
        ["tone", 1],
      ]);
      const { weights: _weights, bias: _bias, ...summary } = createProbe();
      expect(listed[1]).toStrictEqual({ ...summary, version: 2 });
      expect((await store.list("spam")).map((probe) => probe.name)).toEqual(["spam"]);
      expect(await store.list("none")).toEqual([]);
    });

    test("removing takes all versions of one name and no other", async () => {
      for (const probe of ["tone", "spam", "tone"]) await store.add(createProbe({ name: probe }));
      expect(await store.remove("tone")).toBe(2);
      expect(await store.find("tone")).toBeNull();
      expect(await store.find("spam")).not.toBeNull();
      expect(await store.remove("tone")).toBe(0);
    });

    test("any labels and any finite weights come back", async () => {
      const anyProbe = fc.record({
        labels: fc.uniqueArray(fc.string({ unit: "grapheme" }), { minLength: 2, maxLength: 6 }),
        weights: fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 40 }),
      });
      await fc.assert(
        fc.asyncProperty(anyProbe, async (changes) => {
          const { name: probe, version } = await store.add(createProbe(changes));
          expect(await store.find(probe, version)).toMatchObject(changes);
        }),
        { numRuns: 30 },
      );
    });
  });
}

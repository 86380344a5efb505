import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import { createSignalWatch, type SignalChange, type SignalState } from "../../src/watch/signal-watch.ts";

const settings = { referenceLength: 200, falseAlarmEvery: 100_000, tolerance: 0.05 };
const random = createRandom(11);
const normals = (count: number, mean = 0): number[] =>
  Array.from({ length: count }, () => mean + random.normal());

function changesOf(watch: ReturnType<typeof createSignalWatch>, values: readonly number[]) {
  return values.flatMap((value, at): { at: number; change: SignalChange }[] => {
    const change = watch.observe(value);
    return change === null ? [] : [{ at, change }];
  });
}

function learnt(state?: SignalState) {
  const watch = createSignalWatch({ ...settings, state });
  if (state === undefined) changesOf(watch, normals(200));
  return watch;
}

describe("a watched signal", () => {
  test("learns its reference from the first values", () => {
    const watch = createSignalWatch(settings);
    expect(changesOf(watch, normals(199))).toEqual([]);
    expect(watch.phase).toBe("learning");
    expect(watch.observe(0)).toEqual({ kind: "learned" });
    expect(watch.phase).toBe("watching");
  });

  test("says that it has moved, where to and from, and says it once", () => {
    const watch = learnt();
    const [first, ...others] = changesOf(watch, normals(150, 1.5));
    expect(first?.at).toBeLessThan(80);
    expect(first?.change).toMatchObject({ kind: "moved", direction: "up" });
    if (first?.change.kind !== "moved") throw new Error("expected a move");
    expect(first.change.value).toBeCloseTo(1.5, 0);
    expect(first.change.reference).toBeCloseTo(0, 0);
    expect([others, watch.phase]).toEqual([[], "raised"]);
  });

  test("tells when it is back, and is then held against the same reference", () => {
    const watch = learnt();
    const { reference } = watch.state;
    changesOf(watch, normals(60, -2));
    expect(watch.phase).toBe("raised");
    const [back] = changesOf(watch, normals(120));
    expect(back?.change).toEqual({ kind: "returned" });
    expect(watch.state).toEqual({ phase: "watching", reference, recent: [] });
    expect(changesOf(watch, normals(60, -2))[0]?.change).toMatchObject({ kind: "moved", direction: "down" });
  });

  test("takes values that stay away as the reference, and finds the way back a change", () => {
    const watch = learnt();
    const changes = changesOf(watch, normals(400, 2)).map(({ change }) => change.kind);
    expect(changes).toEqual(["moved", "relearned"]);
    expect(changesOf(watch, normals(80))[0]?.change).toMatchObject({ kind: "moved", direction: "down" });
  });

  test("goes on after a restart from any phase as if there had been none, but for evidence not yet enough", () => {
    const learning = createSignalWatch(settings);
    changesOf(learning, normals(120));
    expect(changesOf(learnt(learning.state), normals(80))).toEqual([{ at: 79, change: { kind: "learned" } }]);

    const watching = learnt();
    const restarted = learnt(JSON.parse(JSON.stringify(watching.state)) as SignalState);
    const moved = normals(100, 1);
    expect(changesOf(restarted, moved)).toEqual(changesOf(watching, moved));
    expect(changesOf(learnt(watching.state), normals(200, 1)).map(({ change }) => change.kind)).toEqual([
      "relearned",
    ]);
  });

  test("what is no number counts for nothing", () => {
    const watch = learnt();
    const moved = [NaN, Infinity, -Infinity].flatMap((value) => Array<number>(500).fill(value));
    expect(changesOf(watch, moved)).toEqual([]);
  });

  test("a reference of too few values, or in no whole fifths, is refused", () => {
    for (const referenceLength of [25, 31]) {
      expect(() => createSignalWatch({ ...settings, referenceLength })).toThrow("in whole fifths, got");
    }
  });
});

import { describe, expect, test } from "vitest";
import type { SentenceSpace } from "../../src/alignment/sentence-space.ts";
import { createSentenceEncoders } from "../../src/ensemble/sentence-encoders.ts";
import type { SharedStates } from "../../src/ports/sentence-encoders.ts";
import { createScriptedSource } from "../scripted-encoder.ts";

/** Member a's first number at layer 2, doubled; member b's at layer 1, as it is. */
const space: SentenceSpace = {
  dimension: 1,
  agreement: Float64Array.of(2),
  maps: [
    {
      id: "a",
      layer: 2,
      mean: new Float32Array(3),
      scale: Float32Array.of(1, 1, 1),
      projection: Float32Array.of(2, 0, 0),
    },
    {
      id: "b",
      layer: 1,
      mean: Float32Array.of(1, 0, 0),
      scale: Float32Array.of(1, 1, 1),
      projection: Float32Array.of(1, 0, 0),
    },
  ],
};
const fitted = [
  { id: "a", weightsHash: "a-hash" },
  { id: "b", weightsHash: "b-hash" },
];

function open() {
  const [a, b, c] = ["a", "b", "c"].map((id) => createScriptedSource(id));
  if (!a || !b || !c) throw new Error("no sources");
  const encoders = createSentenceEncoders({
    sources: [a, b, c],
    spaces: new Map([["deep", space]]),
    space: "space-1",
    fitted,
  });
  return { a, b, c, encoders };
}

const states = async (made: Promise<SharedStates>): Promise<number[]> => [
  ...((await made).states.get("deep") ?? []),
];

describe("createSentenceEncoders", () => {
  test("starts a model when it is first asked, once for all who ask", async () => {
    const { a, b, encoders } = open();
    expect([encoders.ids, encoders.sharedIds, encoders.depths]).toEqual([
      ["a", "b", "c"],
      ["a", "b"],
      ["deep"],
    ]);
    expect(a.starts()).toBe(0);
    await Promise.all([encoders.encode("a", ["x"], { layers: [0] }), encoders.shared("a", ["x"])]);
    expect((await encoders.info("a")).width).toBe(3);
    expect([a.starts(), b.starts()]).toEqual([1, 0]);
  });

  test("projects each member's own layer into the space", async () => {
    const { encoders } = open();
    expect(await states(encoders.shared("a", ["four", "six six"], { depths: ["deep"] }))).toEqual([8, 14]);
    const { states: own, tokens, dimension } = await encoders.shared("b", ["four"]);
    expect([[...own.keys()], [...(own.get("deep") ?? [])], [...tokens], dimension]).toEqual([
      ["deep"],
      [3],
      [1],
      1,
    ]);
  });

  test("a member that cannot start fails its calls alone, and the next call tries again", async () => {
    const { a, encoders } = open();
    a.breakStart();
    await expect(encoders.shared("a", ["x"])).rejects.toMatchObject({
      code: "members_lost",
      message: "a could not be started: no file",
    });
    expect(await states(encoders.shared("b", ["x"]))).toEqual([0]);
    expect(await states(encoders.shared("a", ["x"]))).toEqual([2]);
    expect(a.starts()).toBe(2);
  });

  test("a fault of a text ends nothing", async () => {
    const { a, encoders } = open();
    await expect(encoders.encode("a", [""], { layers: [0] })).rejects.toThrow(RangeError);
    await expect(encoders.encode("a", ["long"], { layers: [0] })).rejects.toMatchObject({
      code: "context_length_exceeded",
    });
    expect([a.starts(), a.ends()]).toEqual([1, 0]);
  });

  test("other weights than the space was fitted on have no map, nor has a member it lacks", async () => {
    const { a, c, encoders } = open();
    await expect(encoders.shared("c", ["x"])).rejects.toMatchObject({ code: "unknown_model" });
    const others = createSentenceEncoders({
      sources: [{ ...a, weightsHash: "other" }, c],
      spaces: new Map([["deep", space]]),
      space: "space-1",
      fitted,
    });
    expect(others.sharedIds).toEqual([]);
    await expect(others.shared("a", ["x"])).rejects.toMatchObject({ code: "unknown_model" });
    expect((await others.encode("a", ["x"], { layers: [1] })).tokens.length).toBe(1);
  });

  test("refuses names and depths that there are not", async () => {
    const { encoders } = open();
    await expect(encoders.info("d")).rejects.toMatchObject({ code: "unknown_model" });
    await expect(encoders.shared("a", ["x"], { depths: ["middle"] })).rejects.toThrow(
      "expected a depth of deep, got middle",
    );
  });

  test("closing ends what was started, and later calls are refused", async () => {
    const { a, b, encoders } = open();
    await encoders.info("a");
    await encoders.close();
    expect([a.ends(), b.ends()]).toEqual([1, 0]);
    await expect(encoders.info("b")).rejects.toMatchObject({ code: "members_lost" });
  });
});

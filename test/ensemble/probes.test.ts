import { describe, expect, it } from "vitest";
import { fitProbeHead, headScores, meanStates, type ProbeTraining } from "../../src/ensemble/probe-head.ts";
import { createProbes } from "../../src/ensemble/probes.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Probe, ProbeStore } from "../../src/ports/probe-store.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import type { SentenceEncoders, SharedOptions, SpaceDepth } from "../../src/ports/sentence-encoders.ts";

const DIMENSION = 6;

/** A text's state by a member: its class's direction with the member's own noise. "lost" loses the member b. */
function stateOf(text: string, member: string): number[] {
  const cold = text.startsWith("cold");
  const random = createRandom(
    [...`${text}${member}`].reduce((sum, char) => sum * 31 + char.charCodeAt(0), 7) >>> 0,
  );
  return Array.from(
    { length: DIMENSION },
    (_, j) => random.normal() * 0.7 + (j === 0 ? (cold ? 1.5 : -1.5) : 0),
  );
}

const encoders: SentenceEncoders = {
  ids: ["a", "b", "alone"],
  sharedIds: ["a", "b"],
  space: "space-1",
  depths: ["middle", "deep"],
  info: async () => {
    throw new Error("nobody asks");
  },
  encode: async () => {
    throw new Error("nobody asks");
  },
  async shared(id, texts, { depths = ["middle"] }: SharedOptions = {}) {
    if (id === "b" && texts.includes("cold lost")) throw new GatewayError("members_lost", "b: it ended");
    const rows = Float32Array.from(texts.flatMap((text) => stateOf(text, id)));
    // The deep states say nothing of the class.
    const states = new Map<SpaceDepth, Float32Array>(
      depths.map((depth): [SpaceDepth, Float32Array] => [
        depth,
        depth === "middle" ? rows : rows.map((x, at) => (at % DIMENSION === 0 ? 0 : x)),
      ]),
    );
    return { dimension: DIMENSION, states, tokens: Int32Array.from(texts, () => 2) };
  },
};

function createMemoryStore(): ProbeStore {
  const kept: Probe[] = [];
  return {
    async add(probe) {
      const version = 1 + kept.filter(({ name }) => name === probe.name).length;
      const added = { ...probe, version };
      kept.push(added);
      return added;
    },
    list: async (name) => kept.filter((probe) => name === undefined || probe.name === name),
    find: async (name, version) =>
      kept.findLast((probe) => probe.name === name && (version ?? probe.version) === probe.version) ?? null,
    async remove(name) {
      const before = kept.length;
      kept.splice(0, before, ...kept.filter((probe) => probe.name !== name));
      return before - kept.length;
    },
  };
}

const TEXTS = Array.from({ length: 120 }, (_, i) => `${i % 2 === 0 ? "cold" : "warm"} ${i}`);
const LABELS = TEXTS.map((text) => text.split(" ")[0] ?? "");

function open() {
  return createProbes({ encoders, store: createMemoryStore(), clock: { now: () => 5, monotonic: () => 0 } });
}

const request = {
  name: "weather",
  texts: TEXTS,
  outcomes: { task: "classification", labels: LABELS } as const,
  progress: silentProgress,
};

describe("probes", () => {
  it("tell classes that they have learned, with the depth that says more, and how well on what was held out", async () => {
    const probes = open();
    const fitted = await probes.fit(request);
    expect(fitted).toMatchObject({
      name: "weather",
      version: 1,
      labels: ["cold", "warm"],
      members: ["a", "b"],
      depth: "middle",
      space: "space-1",
      examples: 120,
    });
    expect(fitted.metrics?.task === "classification" && fitted.metrics.accuracy).toBeGreaterThan(0.9);
    const asked = Array.from({ length: 100 }, (_, i) => `${i % 2 === 0 ? "cold" : "warm"} new ${i}`);
    const { outputs, calibrated } = await probes.classify({ name: "weather", texts: asked });
    expect(calibrated).toBe(true);
    const right = asked.filter((_, i) => outputs[2 * i]! > 0.5 === (i % 2 === 0)).length;
    expect(right).toBeGreaterThan(90);
    expect(outputs[0]! + outputs[1]!).toBeCloseTo(1, 9);
  });

  it("learned through one member serve through another, and go on where one is lost", async () => {
    const probes = open();
    await probes.fit({ ...request, members: ["a"] });
    const asked = Array.from({ length: 60 }, (_, i) => `${i % 2 === 0 ? "cold" : "warm"} other ${i}`);
    const { outputs, members } = await probes.classify({ name: "weather", texts: asked, members: ["b"] });
    expect(members).toEqual(["b"]);
    expect(asked.filter((_, i) => outputs[2 * i]! > 0.5 === (i % 2 === 0)).length).toBeGreaterThan(50);
    await probes.fit(request);
    const degraded = await probes.classify({ name: "weather", texts: ["cold lost"] });
    expect(degraded.members).toEqual(["a"]);
    expect(degraded.lost).toEqual([{ id: "b", reason: "b: it ended" }]);
    expect(degraded.probe.version).toBe(2);
  });

  it("move to another gateway with the same space, and no other", async () => {
    const probes = open();
    await probes.fit(request);
    const { version: _, ...exported } = await probes.find("weather");
    const elsewhere = open();
    expect((await elsewhere.add(exported)).version).toBe(1);
    const texts = ["cold 1000", "warm 1001"];
    const [ours, theirs] = await Promise.all(
      [probes, elsewhere].map((service) => service.classify({ name: "weather", texts })),
    );
    expect(theirs?.outputs).toEqual(ours?.outputs);
    await expect(elsewhere.add({ ...exported, space: "space-2" })).rejects.toThrow(
      "belongs to the shared space",
    );
    expect(await probes.remove("weather")).toBe(1);
    await expect(probes.find("weather")).rejects.toMatchObject({ code: "unknown_model" });
  });

  it("refuse what cannot be learned or is not known, naming the field", async () => {
    const probes = open();
    const one = { task: "classification", labels: TEXTS.map(() => "cold") } as const;
    await expect(probes.fit({ ...request, outcomes: one })).rejects.toThrow("at least 2 classes");
    await expect(probes.fit({ ...request, members: ["alone"] })).rejects.toMatchObject({
      code: "unknown_model",
    });
    await expect(probes.classify({ name: "none", texts: ["x"] })).rejects.toThrow("There is no probe 'none'");
    await probes.fit(request);
    await expect(probes.classify({ name: "weather", version: 4, texts: ["x"] })).rejects.toThrow(
      "has no version 4",
    );
  });

  it("learn values, and say how much of them they explain", async () => {
    const probes = open();
    const values = TEXTS.map(
      (text) => 10 + 3 * ((stateOf(text, "a")[0] ?? 0) + (stateOf(text, "b")[0] ?? 0)),
    );
    const fitted = await probes.fit({ ...request, outcomes: { task: "regression", values } });
    expect(fitted.metrics?.task === "regression" && fitted.metrics.r2).toBeGreaterThan(0.99);
    const { outputs } = await probes.classify({ name: "weather", texts: TEXTS.slice(0, 3) });
    for (const [i, value] of values.slice(0, 3).entries()) expect(outputs[i]).toBeCloseTo(value, 0);
  });
});

describe("a probe's head", () => {
  const random = createRandom(3);
  const states = Float32Array.from({ length: 40 * 4 }, () => random.normal());
  const training: ProbeTraining = {
    members: ["a"],
    dimension: 4,
    states: new Map([["deep", [states]]]),
    outcomes: {
      task: "classification",
      labels: ["x", "y"],
      classes: Array.from({ length: 40 }, (_, i) => i % 2),
    },
    ridge: 10,
  };

  it("is the same for the same examples, and has no metrics where a class has a single one", () => {
    expect(fitProbeHead(training)).toEqual(fitProbeHead(training));
    const single = Array.from({ length: 40 }, (_, i) => Number(i === 7));
    const head = fitProbeHead({
      ...training,
      outcomes: { task: "classification", labels: ["x", "y"], classes: single },
    });
    expect(head.metrics).toBeNull();
    expect(head.calibrations).toEqual([]);
  });

  it("scores W z + b", () => {
    const head = { dimension: 2, weights: Float32Array.of(1, 2, 3, 4), bias: Float32Array.of(10, 20) };
    expect([...headScores(head, Float32Array.of(1, 1, 0, 1)).data]).toEqual([13, 27, 12, 24]);
    expect([...meanStates([Float32Array.of(1, 3), Float32Array.of(3, 5)])]).toEqual([2, 4]);
  });
});

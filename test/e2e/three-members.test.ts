import { mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { DEFAULT_CORPUS, readCorpus } from "../../adapters/node/corpus-files.ts";
import { memberGraphs } from "../../adapters/node/graph-cache.ts";
import { findModel } from "../../adapters/node/models/manifest.ts";
import { createOnnxProduct } from "../../adapters/node/onnx-product.ts";
import { joinMembers, type OpenEnsemble } from "../../adapters/node/open-ensemble.ts";
import {
  MEMBER_IDS,
  openSources,
  type MemberSource,
  type OpenMembers,
} from "../../adapters/node/open-members.ts";
import { concordPaths } from "../../adapters/node/paths.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { splitCorpus, takeTokens } from "../../src/ensemble/corpus.ts";
import { createEngine } from "../../src/ensemble/engine.ts";
import { fitSpace, type Fit } from "../../src/ensemble/fit-space.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import { createPredictor } from "../../src/ensemble/predictor.ts";
import type { Prediction } from "../../src/ensemble/reading.ts";
import { createStateReading, type MemberState } from "../../src/ensemble/state-reading.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { plainSampling } from "../../src/ports/engine.ts";
import { klDivergence, logSumExp } from "../../src/stats/distributions.ts";
import { weightFile } from "../installed-models.ts";
import { writeTruncated } from "../truncated-weights.ts";

const [SMOLLM] = MEMBER_IDS;
/** The first 15 of SmolLM2's 30 blocks: the anchor's own tokens, and hardly a word that comes true. */
const TRUNCATED = "smollm2-first-15-blocks";
const TEXT = "The Danube rises in the Black Forest and flows through ten countries — Österreich among them";
const progress = createProgressBar();

let home: string;
let opened: OpenMembers;
let fit: Fit;
let joined: OpenEnsemble;

/** Graphs that are there already are used; what this test builds goes with it. */
async function createHome(): Promise<string> {
  const shared = concordPaths();
  const own = await mkdtemp(join(tmpdir(), "concord-three-"));
  await symlink(shared.models, join(own, "models"));
  await mkdir(join(own, "graphs"));
  await mkdir(shared.graphs, { recursive: true });
  for (const name of await readdir(shared.graphs)) {
    if (!name.startsWith(".")) await symlink(join(shared.graphs, name), join(own, "graphs", name));
  }
  return own;
}

async function memberSource(id: string, path: string, weightsHash: string): Promise<MemberSource> {
  const { graphs: directory } = concordPaths();
  return { id, path, files: await memberGraphs({ directory, weightPath: path, weightsHash, label: id }) };
}

beforeAll(async () => {
  home = await createHome();
  vi.stubEnv("CONCORD_HOME", home);
  const truncated = join(home, "truncated.gguf");
  const hash = await writeTruncated(weightFile(SMOLLM), truncated, 15);
  const sources: MemberSource[] = [];
  for (const id of MEMBER_IDS) {
    sources.push(await memberSource(id, weightFile(id), findModel(id).files[0]?.sha256 ?? ""));
  }
  opened = await openSources([...sources, await memberSource(TRUNCATED, truncated, hash)], { progress });
  const corpus = splitCorpus((await readCorpus(DEFAULT_CORPUS)).documents, 1);
  const { tokenizer } = opened.members[0].model;
  fit = await fitSpace({
    members: opened.members,
    corpus: {
      fit: takeTokens(corpus.fit, 1000, tokenizer, 1),
      choose: takeTokens(corpus.choose, 200, tokenizer, 1),
      report: [],
    },
    dimension: 256,
    ownTokens: { count: 512, positions: 1000 },
    eigenvalueFloor: 1e-4,
    taps: [],
    tappedPlaces: 0,
    multiply: await createOnnxProduct(),
    findFused: async () => () => true,
    refinement: null,
    quality: null,
    seed: 1,
    clock: systemClock,
    progress,
  });
  joined = await joinMembers(opened, { space: fit.space, routes: [] }, { progress });
}, 600_000);

afterAll(async () => {
  await joined?.close();
  await opened?.close();
  vi.unstubAllEnvs();
  if (home) await rm(home, { recursive: true, force: true });
});

async function statesOf(text: string): Promise<MemberState[][]> {
  const [anchor, ...followers] = opened.members.map(({ model }) => model);
  if (anchor === undefined) throw new Error("no anchor");
  const reading = createStateReading([anchor, ...followers], { kind: "text", text }, systemClock);
  try {
    return await reading.positions();
  } finally {
    reading.close();
  }
}

describe("an ensemble of three members, two of them with the same tokens", () => {
  it("is fitted in closed form, and the truncated member counts least", () => {
    const weights = fit.space.members.map(({ weight }) => weight);
    expect(fit.space.members.map(({ width }) => width)).toEqual([576, 640, 576]);
    expect(opened.members.map(({ model }) => model.info.layers)).toEqual([30, 18, 15]);
    expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
    expect(weights[2]).toBeLessThan(0.3 * Math.min(weights[0] ?? 0, weights[1] ?? 0));
  });

  it("every member has a state, a distribution and a weight of 0 or more, and so has their fusion", async () => {
    const states = await statesOf(TEXT);
    const predictions = await createPredictor(joined.ensemble, "text").predict(states);
    for (const [i, { logprobs, members, comparison }] of predictions.entries()) {
      expect(logSumExp(logprobs)).toBeCloseTo(0, 4);
      expect(members).toHaveLength(3);
      const present = members.filter((member) => member.logprobs !== null);
      expect(present.length === 3 || states[i]?.some((state) => "reason" in state)).toBe(true);
      for (const member of present) {
        expect(member.state).toHaveLength(256);
        expect(member.weight).toBeGreaterThanOrEqual(0);
        expect(logSumExp(member.logprobs ?? new Float32Array(0))).toBeCloseTo(0, 4);
      }
      if (present.length === 3) expect(comparison?.entropies).toHaveLength(3);
    }
    expect(predictions.some(({ comparison }) => comparison?.entropies.length === 3)).toBe(true);
  });

  it.each([1, 2])("goes on without follower %i when that one abstains", async (absent) => {
    const present = (await statesOf(TEXT)).filter((states) => states.every((state) => "state" in state));
    const without = present
      .slice(0, 5)
      .map((states) => states.map((state, m): MemberState => (m === absent ? { reason: "ill" } : state)));
    for (const { logprobs, members, comparison } of await createPredictor(joined.ensemble, "text").predict(
      without,
    )) {
      expect(logSumExp(logprobs)).toBeCloseTo(0, 4);
      expect(members[absent]).toEqual({ logprobs: null, reason: "ill", weight: 0, state: null });
      expect(members.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 10);
      expect(comparison?.entropies).toHaveLength(2);
    }
  });

  it("Gemma's tokens may go on where the anchor's end; those of the follower with the anchor's tokens are over", async () => {
    const { continuations } = joined.ensemble;
    expect(continuations.map((own) => own === null)).toEqual([true, false, false]);
    const states = await statesOf(TEXT);
    let unfinished = 0;
    for (const [, gemma, truncated] of states) {
      if (gemma && "state" in gemma && gemma.unfinished) {
        if ((await continuations[1]?.after(gemma.unfinished)) !== null) unfinished++;
      }
      if (!truncated || !("state" in truncated) || truncated.unfinished === null) continue;
      expect(await continuations[2]?.after(truncated.unfinished)).toBeNull();
    }
    expect(unfinished).toBeGreaterThan(0);
  });

  it("followers predict while the text grows what they predict when they read it whole", async () => {
    const { tokenizer } = opened.members[0].model;
    const tokens = [...tokenizer.encode(TEXT).ids];
    const start = tokens.length - 10;
    const grown: (Float32Array | null)[][] = [];
    const growing = createFusedReading(
      joined.ensemble,
      { kind: "tokens", tokens: tokens.slice(0, start) },
      systemClock,
    );
    for (const token of tokens.slice(start)) {
      const { members } = await growing.next();
      grown.push(members.map(({ logprobs }) => logprobs?.slice() ?? null));
      growing.accept(token);
    }
    growing.close();
    const whole: Prediction[] = [];
    const reading = createFusedReading(joined.ensemble, { kind: "tokens", tokens }, systemClock);
    for await (const prediction of reading.score()) whole.push(prediction);
    reading.close();
    for (const [i, members] of grown.entries()) {
      for (const [m, logprobs] of members.entries()) {
        const read = whole[start + i]?.members[m]?.logprobs;
        expect(logprobs === null).toBe(read === null);
        // 8-bit arithmetic depends on how many tokens are read at once; another tokenisation would cost whole nats.
        if (logprobs && read) expect(klDivergence(logprobs, read)).toBeLessThan(0.1);
      }
    }
  });

  it("an answer's report and its log tell of all three", async () => {
    const log = createSqliteAgreementLog(openDatabase(":memory:"));
    const engine = createEngine({ ensemble: joined.ensemble, log, clock: systemClock, keepText: false });
    const events = engine.answer({
      requestId: "three",
      model: "concord",
      endpoint: "completions",
      prompt: { kind: "text", text: TEXT },
      maxTokens: 4,
      stop: [],
      sampling: { ...plainSampling, temperature: 0 },
      topLogprobs: null,
      echo: true,
    });
    const types: string[] = [];
    for await (const { type } of events) types.push(type);
    const logged = await log.find("three");
    await log.close();
    expect([types[0], types.at(-1)]).toEqual(["prompt", "end"]);
    expect(engine.models().map(({ id }) => id)).toEqual(["concord", ...MEMBER_IDS, TRUNCATED]);
    expect(logged?.report.members.map(({ id }) => id)).toEqual([...MEMBER_IDS, TRUNCATED]);
    expect(logged?.report.agreement.positions).toBeGreaterThan(0);
    expect(logged?.report.agreement.jsDivergence).toBeLessThanOrEqual(Math.log(3));
  });
});

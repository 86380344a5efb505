import { beforeAll, describe, expect, it } from "vitest";
import { gateFeatures, gateShares } from "../../src/alignment/gate.ts";
import { fuse } from "../../src/alignment/shared-space.ts";
import type { FitMember } from "../../src/ensemble/decoder-rows.ts";
import { readPositions } from "../../src/ensemble/choose-weights.ts";
import { collectStates } from "../../src/ensemble/collect-states.ts";
import type { CorpusDocument, CorpusSplit } from "../../src/ensemble/corpus.ts";
import { fitSpace, type Fit } from "../../src/ensemble/fit-space.ts";
import { normaliseAnchor, normaliseFollower } from "../../src/ensemble/follower-distribution.ts";
import type { QualityCurves } from "../../src/ensemble/quality-curves.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { jensenShannon, logMixture } from "../../src/stats/distributions.ts";
import { createScriptedMembers, fitDocuments, fitMember, multiply, textDocument } from "../scripted-fit.ts";

const FULL_RANK = 48;
const corpus: CorpusSplit = {
  fit: fitDocuments,
  choose: ["the mat sat on a dog.", "it est 12 figs"].map(textDocument),
  report: ["a cat ate the figs far away", "they sat; il est 7!"].map(textDocument),
};
const models = createScriptedMembers();
const members = models.map(fitMember) as [FitMember, ...FitMember[]];

function fitAt(dimension: number, dimensions: readonly number[]): Promise<Fit> {
  return fitSpace({
    members,
    corpus,
    dimension,
    ownTokens: { count: 10, positions: 2000 },
    eigenvalueFloor: 1e-6,
    taps: [],
    tappedPlaces: 0,
    multiply,
    findFused: async () => () => true,
    refinement: null,
    quality: { dimensions, shares: [0.25, 0.5], positions: 600 },
    seed: 1,
    clock: systemClock,
    progress: silentProgress,
  });
}

/** Mean −ln p of the report documents' tokens, by the members' own heads: as the fit's gates fuse them, and of each. */
async function exactly({ space }: Fit): Promise<{ fused: number; alone: number[] }> {
  const [anchor, ...others] = models;
  if (anchor === undefined) throw new Error("no anchor");
  const positions = await readPositions({
    members: [anchor, ...others],
    documents: corpus.report,
    clock: systemClock,
    progress: silentProgress,
  });
  const special = [...anchor.tokenizer.specialTokens];
  let fused = 0;
  const alone = models.map(() => 0);
  for (const { states, token } of positions) {
    const rows = await Promise.all(
      models.map((model, m) => model.head.decode(states[m]?.state ?? new Float32Array(0))),
    );
    const ends = normaliseAnchor(rows[0] ?? new Float32Array(0), special);
    for (const row of rows.slice(1)) normaliseFollower(row, special, ends);
    const pool = fuse(
      space.members.map(({ weight }) => weight),
      rows,
    );
    normaliseFollower(pool, special, ends);
    const shares = gateShares(space.gates.text, gateFeatures(jensenShannon(rows)));
    fused -= (logMixture(shares, [...rows, pool])[token] ?? NaN) / positions.length;
    for (const [m, row] of rows.entries()) alone[m]! -= (row[token] ?? NaN) / positions.length;
  }
  return { fused, alone };
}

describe("quality by dimension and by tokens", () => {
  let fit: Fit;
  let curves: QualityCurves;

  beforeAll(async () => {
    fit = await fitAt(FULL_RANK, [32, 16, 8]);
    if (fit.quality === null) throw new Error("nothing was measured");
    curves = fit.quality;
  });

  it("at full rank the members' own heads are fused, and each member is itself", async () => {
    const { fused, alone } = await exactly(fit);
    const full = curves.byDimension.at(-1);
    expect(full?.dimension).toBe(FULL_RANK);
    expect(full?.nats).toBeCloseTo(fused, 3);
    expect(full?.memberNats).toHaveLength(3);
    for (const [m, nats] of alone.entries()) expect(full?.memberNats[m]).toBeCloseTo(nats, 3);
  });

  it("has the asked dimensions in their order, each once, and the full rank, whatever the fit's own k", async () => {
    const other = (await fitAt(16, [8, 32, 16, 100])).quality;
    expect(curves.byDimension.map(({ dimension }) => dimension)).toEqual([8, 16, 32, FULL_RANK]);
    expect(other?.byDimension).toEqual(curves.byDimension);
    expect(other?.byTokens.map(({ dimension }) => dimension)).toEqual([16, 16, 16]);
  });

  it("the curve by tokens is at the k nearest to half of the full rank, and ends in all tokens", () => {
    expect(curves.byTokens.map(({ tokens }) => tokens)).toEqual(
      [1, 2, 4].map((count) => tokensOf(fitDocuments.slice(0, count))),
    );
    expect(curves.byDimension).toContainEqual(curves.byTokens.at(-1));
    expect(new Set(curves.byTokens.map(({ nats }) => nats)).size).toBe(3);
  });

  it("without a refinement there is no refined point, and the counts are those of the positions read", () => {
    expect(curves.refined).toBeNull();
    expect(curves.ids).toEqual(["member-0", "member-1", "member-2"]);
    expect(curves.reportPositions).toBe(tokensOf(corpus.report));
  });
});

/** All tokens are bytes. */
function tokensOf(documents: readonly CorpusDocument[]): number {
  return documents.reduce((sum, { source }) => sum + new TextEncoder().encode(source).length, 0);
}

function collect(documents: readonly CorpusDocument[], shares: readonly number[]) {
  return collectStates({
    members: models,
    documents,
    shares,
    taps: [],
    tappedPlaces: 0,
    progress: silentProgress,
  });
}

describe("snapshots of what a text shows", () => {
  it("after all documents are what was learned in the end, and after half what the half alone teaches", async () => {
    const { snapshots, ...whole } = await collect(fitDocuments, [0.5, 1]);
    const { snapshots: none, ...half } = await collect(fitDocuments.slice(0, 2), []);
    const { taps: _, ...learned } = whole;
    const { taps: __, ...halfLearned } = half;
    expect(none).toEqual([]);
    expect(snapshots).toEqual([halfLearned, learned]);
  });
});

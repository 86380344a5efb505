import { describe, expect, it } from "vitest";
import type { CorpusDocument, Passage } from "../../src/ensemble/corpus.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { scoreDocument, type DocumentScore, type TokenSum } from "../../src/ensemble/evaluate-text.ts";
import { chooseExactWeights, createExactBaselines } from "../../src/ensemble/exact-baselines.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import { ALWAYS_FUSED, EXACT_MEAN, EXACT_POOL, MEAN_OF_PROBABILITIES } from "../../src/ensemble/row-names.ts";
import { createSingleReading } from "../../src/ensemble/single-reading.ts";
import { compareWithBest, sumByDomain } from "../../src/ensemble/text-scores.ts";
import type { Reading } from "../../src/ensemble/reading.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";
import { createScriptedMember } from "../scripted-member.ts";

const ensemble = createScriptedEnsemble();
const plain = { ensemble, clock: systemClock, exact: null };
const question = { role: "user", content: "Où est le café?" } as const;
const chat: Passage = { kind: "chat", messages: [question], answer: "Là-bas." };

function documentOf(...passages: readonly Passage[]): CorpusDocument {
  return { domain: "mixed", source: "", passages };
}

function text(of: string): Passage {
  return { kind: "text", text: of };
}

function rowOf({ sums }: DocumentScore, name: string): TokenSum | undefined {
  return sums.find((sum) => sum.name === name);
}

function natsOf(score: DocumentScore, name: string): number {
  return rowOf(score, name)?.nats ?? NaN;
}

/** −log p of an answer that is given token by token, as a generation would. */
async function natsOfGenerating(reading: Reading, tokens: readonly number[]): Promise<number> {
  let nats = 0;
  for (const token of tokens) {
    nats -= (await reading.next()).logprobs[token] ?? NaN;
    reading.accept(token);
  }
  reading.close();
  return nats;
}

describe("the score of a chat", () => {
  const prompt = { kind: "chat", messages: [question] } as const;
  const [anchor] = ensemble.members;
  const answer = [...anchor.tokenizer.encode("Là-bas.").ids];

  it("is what the answer's tokens had while they were generated, for the ensemble and for each member", async () => {
    const score = await scoreDocument(documentOf(chat), plain);
    expect(score.bytes).toBe(new TextEncoder().encode("Là-bas.").length);
    const fused = await natsOfGenerating(createFusedReading(ensemble, prompt, systemClock), answer);
    expect(natsOf(score, "concord")).toBeCloseTo(fused, 4);
    for (const member of ensemble.members) {
      const alone = await natsOfGenerating(createSingleReading(member, prompt, systemClock), answer);
      expect(natsOf(score, member.info.id)).toBeCloseTo(alone, 4);
    }
  });

  it("depends on the turns before the answer", async () => {
    const other = { ...chat, messages: [{ ...question, content: "Where?" }] };
    const scores = [
      await scoreDocument(documentOf(chat), plain),
      await scoreDocument(documentOf(other), plain),
    ];
    expect(natsOf(scores[0]!, "concord")).not.toBeCloseTo(natsOf(scores[1]!, "concord"), 4);
  });
});

describe("the score of a document", () => {
  it("is the sum over its passages", async () => {
    const whole = await scoreDocument(documentOf(text("one two"), chat), plain);
    const parts = [
      await scoreDocument(documentOf(text("one two")), plain),
      await scoreDocument(documentOf(chat), plain),
    ];
    expect(whole.sums.map(({ name }) => name)).toEqual(parts[0]?.sums.map(({ name }) => name));
    expect(whole.bytes).toBe(parts.reduce((sum, { bytes }) => sum + bytes, 0));
    for (const { name, nats } of whole.sums) {
      expect(nats).toBeCloseTo(
        parts.reduce((sum, part) => sum + natsOf(part, name), 0),
        6,
      );
    }
  });

  it("counts every token once when a text is longer than the members' contexts", async () => {
    const members = ensemble.members.map(({ info }, m) =>
      createScriptedMember({ id: info.id, seed: m + 1, contextLength: 20 }),
    );
    const [first, ...others] = members;
    if (first === undefined) throw new Error("no members");
    const short: Ensemble = { ...ensemble, members: [first, ...others] };
    const long = "a line\nand another one\n\nand a third that is longer than a window";
    const score = await scoreDocument(documentOf(text(long)), { ...plain, ensemble: short });
    expect(score.bytes).toBe(long.length);
    expect(new Set(score.sums.map(({ tokens }) => tokens))).toEqual(new Set([long.length]));
  });

  it("mean of probabilities is never below the better member by more than ln 2 a token", async () => {
    const score = await scoreDocument(documentOf(text("a b c d e f g")), plain);
    const through = score.sums.filter(({ name }) => name.endsWith("shared space")).map(({ nats }) => nats);
    const tokens = score.sums[0]?.tokens ?? 0;
    expect(through).toHaveLength(2);
    expect(natsOf(score, MEAN_OF_PROBABILITIES)).toBeLessThan(Math.min(...through) + tokens * Math.LN2);
  });
});

describe("the score of a document under an ensemble with routes", () => {
  const follower = createScriptedMember({
    id: "second",
    seed: 2,
    tokenizer: createMergingTokenizer([" langer", " Satz"]),
  });
  const routes = [{ member: "second", ratio: 1.5, share: 0.5 }];
  const always: Ensemble = { ...ensemble, members: [ensemble.members[0], follower] };
  const routed = { ...plain, ensemble: { ...always, routes } };
  const german = text(" langer Satz".repeat(4));
  const english = text("to be or not to be");

  it("is the member's for a text that is left to it, and one bit for saying so", async () => {
    const score = await scoreDocument(documentOf(german), routed);
    const alone = rowOf(score, "second");
    expect(alone).toMatchObject({ vocabulary: "second", tokens: 8 });
    expect(rowOf(score, "concord")).toEqual({
      name: "concord",
      vocabulary: "second",
      tokens: 8,
      nats: (alone?.nats ?? NaN) + Math.LN2,
    });
    const fused = await scoreDocument(documentOf(german), { ...plain, ensemble: always });
    expect(natsOf(score, ALWAYS_FUSED)).toBe(natsOf(fused, "concord"));
  });

  it("is the fused answer's for any other text and one bit, and for a chat nothing more", async () => {
    for (const [passage, bit] of [
      [english, Math.LN2],
      [{ ...chat, answer: " langer Satz".repeat(4) }, 0],
    ] as const) {
      const score = await scoreDocument(documentOf(passage), routed);
      const fused = await scoreDocument(documentOf(passage), { ...plain, ensemble: always });
      expect(natsOf(score, "concord")).toBe(natsOf(fused, "concord") + bit);
      expect(natsOf(score, ALWAYS_FUSED)).toBe(natsOf(fused, "concord"));
      expect(rowOf(score, "concord")?.vocabulary).toBe("first");
    }
  });

  it("has rows in the same order for all documents, the ensemble's last", async () => {
    const scores = [
      await scoreDocument(documentOf(german), routed),
      await scoreDocument(documentOf(english), routed),
    ];
    const names = scores.map(({ sums }) => sums.map(({ name }) => name));
    expect(names[0]).toEqual(names[1]);
    expect(names[0]?.slice(-2)).toEqual([ALWAYS_FUSED, "concord"]);
    const [domain] = sumByDomain(scores);
    expect(domain?.scores.at(-1)).toMatchObject({ name: "concord", vocabulary: "second, first" });
  });

  it("is decided on a whole text, however many windows it is read in", async () => {
    const members = [
      createScriptedMember({ id: "first", seed: 1, contextLength: 30 }),
      createScriptedMember({ id: "second", seed: 2, contextLength: 30, tokenizer: follower.tokenizer }),
    ] as const;
    const short = { ...plain, ensemble: { ...routed.ensemble, members } };
    const mixed = text(`${" langer Satz".repeat(12)}\nto be or not to be`);
    const score = await scoreDocument(documentOf(mixed), short);
    expect(natsOf(score, "concord")).toBe(natsOf(score, "second") + Math.LN2);
  });
});

describe("the exact baselines", () => {
  const merging = createScriptedMember({
    id: "merging",
    seed: 3,
    tokenizer: createMergingTokenizer([" the", " cat", "at", "the"]),
  });
  const anchor = ensemble.members[0];
  const members = [anchor, merging] as const;
  const passage = text("the cat sat on the mat — là");
  const noBias = [0, 0];

  async function nats(
    weights: { pool: number[]; mean: number[] },
    of: readonly [LanguageModel, LanguageModel],
  ) {
    const baselines = createExactBaselines(
      { members: of, clock: systemClock },
      { ...weights, partialBias: noBias },
    );
    const sums = { pool: 0, mean: 0 };
    for await (const { pool, mean } of baselines.score(passage)) {
      sums.pool -= pool;
      sums.mean -= mean;
    }
    return sums;
  }

  it("with all weight on the anchor are the anchor's own mean, and its pool given that no special token comes", async () => {
    const alone = natsOf(await scoreDocument(documentOf(passage), plain), anchor.info.id);
    const { pool, mean } = await nats({ pool: [1, 0], mean: [1, 0] }, members);
    expect(mean).toBeCloseTo(alone, 4);
    expect(pool).toBeCloseTo(alone, 4);
  });

  it("count every token of a member that begins with the anchor's: over all bytes they leave nothing out and count nothing twice", async () => {
    // Each ASCII character as the first of a text.
    const masses = await Promise.all(
      Array.from({ length: 128 }, async (_, byte) => {
        const baselines = createExactBaselines(
          { members, clock: systemClock },
          { pool: [0, 1], mean: [0, 1], partialBias: noBias },
        );
        for await (const { mean } of baselines.score(text(String.fromCharCode(byte)))) return Math.exp(mean);
        return 0;
      }),
    );
    const state = await anchor.openSequence().append([anchor.tokenizer.documentStart]);
    const special = await specialMass(anchor, state.hidden);
    const own = await merging.openSequence().append([merging.tokenizer.documentStart]);
    const above = await massOfBytesAbove(merging, own.hidden, 127);
    expect(masses.reduce((a, b) => a + b, 0)).toBeCloseTo((1 - special) * (1 - above), 4);
  });

  it("choose weights that beat either member alone on the documents they were chosen on", async () => {
    const weights = await chooseExactWeights({
      members,
      documents: [documentOf(passage)],
      clock: systemClock,
      progress: silentProgress,
    });
    expect(weights.mean.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
    const score = async (exactWeights: typeof weights) => {
      const exact = createExactBaselines({ members, clock: systemClock }, exactWeights);
      const scored = await scoreDocument(documentOf(passage), { ...plain, exact });
      return { pool: natsOf(scored, EXACT_POOL), mean: natsOf(scored, EXACT_MEAN) };
    };
    const chosen = await score(weights);
    for (const one of [
      [1, 0],
      [0, 1],
    ]) {
      const alone = await score({ ...weights, pool: one, mean: one });
      expect(chosen.mean).toBeLessThan(alone.mean + 1e-3);
      expect(chosen.pool).toBeLessThan(alone.pool + 1e-3);
    }
  });
});

async function probabilities(model: LanguageModel, hidden: Float32Array, kept: (token: number) => boolean) {
  const logits = Array.from(await model.head.decode(hidden), (logit, token) =>
    kept(token) ? Math.exp(logit) : 0,
  );
  const total = logits.reduce((a, b) => a + b, 0);
  return logits.map((mass) => mass / total);
}

async function specialMass(model: LanguageModel, hidden: Float32Array): Promise<number> {
  const all = await probabilities(model, hidden, () => true);
  return [...model.tokenizer.specialTokens].reduce((sum, token) => sum + (all[token] ?? 0), 0);
}

async function massOfBytesAbove(model: LanguageModel, hidden: Float32Array, byte: number): Promise<number> {
  const ordinary = await probabilities(model, hidden, (token) => !model.tokenizer.specialTokens.has(token));
  return ordinary.reduce((sum, p, token) => sum + (token > byte && token < 256 ? p : 0), 0);
}

function scoreOf(domain: string, bytes: number, a: number, b: number): DocumentScore {
  return {
    domain,
    bytes,
    sums: [
      { name: "a", vocabulary: "a", tokens: bytes, nats: a * bytes * Math.LN2 },
      { name: "b", vocabulary: "b", tokens: 1, nats: b * bytes * Math.LN2 },
    ],
  };
}

describe("scores by domain", () => {
  const scores = [
    ...Array.from({ length: 20 }, (_, i) => scoreOf("prose", 10 + i, 1 + i / 100, 1.5)),
    scoreOf("code", 7, 3, 2),
  ];

  it("are weighted by bytes, and told in the order the domains came in", () => {
    const [prose, code] = sumByDomain(scores);
    expect(prose).toMatchObject({ domain: "prose", documents: 20, bytes: 390 });
    expect(prose?.scores[1]?.bitsPerByte).toBeCloseTo(1.5, 10);
    expect(prose?.scores[0]?.bitsPerByte).toBeCloseTo(
      Array.from({ length: 20 }, (_, i) => (10 + i) * (1 + i / 100)).reduce((x, y) => x + y, 0) / 390,
      10,
    );
    expect(code).toMatchObject({ domain: "code", documents: 1, bytes: 7 });
  });

  it("compare with the best of the others, with an interval where there are documents enough", () => {
    const prose = scores.slice(0, 20);
    const compared = compareWithBest(prose, "a", ["a", "b"], createRandom(1));
    expect(compared).toMatchObject({ against: "a", difference: 0, interval: { low: 0, high: 0 } });
    expect(compared).toMatchObject({ ratio: 1, ratioInterval: { low: 1, high: 1 } });
    const worse = compareWithBest(prose, "b", ["a"], createRandom(1));
    expect(worse.difference).toBeGreaterThan(worse.interval?.low ?? NaN);
    expect(worse.difference).toBeLessThan(worse.interval?.high ?? NaN);
    expect(worse.interval?.low).toBeGreaterThan(0.3);
    // Between 1.5 bits over the largest of the others, 1.19, and over the smallest, 1.
    expect(worse.ratio).toBeCloseTo(1 + worse.difference / (1.5 - worse.difference), 10);
    expect(worse.ratio).toBeGreaterThan(worse.ratioInterval?.low ?? NaN);
    expect(worse.ratio).toBeLessThan(worse.ratioInterval?.high ?? NaN);
    expect(worse.ratioInterval?.low).toBeGreaterThan(1.5 / 1.19);
    expect(worse.ratioInterval?.high).toBeLessThan(1.5);
    expect(compareWithBest(scores.slice(20), "a", ["b"], createRandom(1))).toMatchObject({
      against: "b",
      interval: null,
      ratioInterval: null,
    });
  });
});

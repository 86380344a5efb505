import { afterEach, describe, expect, test } from "vitest";
import { ckaMatrix, fitStandardisation, standardise } from "../../src/alignment/cka.ts";
import { collectStates } from "../../src/ensemble/collect-states.ts";
import { tappedLayers } from "../../src/ensemble/passage-states.ts";
import { matrixFrom, type Matrix } from "../../src/linalg/matrix.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import type { LayerSimilarity } from "../../src/ports/observations.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import {
  createLiveSimilarity,
  type LayerScales,
  type LiveSimilarity,
  type LiveSimilarityOptions,
} from "../../src/watch/live-similarity.ts";
import { createQuietTime, type QuietTime } from "../../src/watch/quiet-time.ts";
import { systemTimers } from "../../adapters/node/supervision.ts";
import { largestDifference } from "../linalg/planted.ts";
import { createScriptedMember } from "../scripted-member.ts";

const WINDOW_MS = 3_600_000;
const random = createRandom(3);

/** Words of four letters: each ends where every member has a token's end. */
function text(words: number): string {
  return Array.from({ length: words }, () =>
    Array.from({ length: 4 }, () => String.fromCharCode(97 + random.integer(26))).join(""),
  ).join(" ");
}

const members = [
  createScriptedMember({ id: "first", seed: 1, layers: 4 }),
  createScriptedMember({ id: "second", seed: 2, width: 12, layers: 6 }),
];

interface Observed {
  readonly similarity: LiveSimilarity;
  readonly quiet: QuietTime;
  readonly batches: number[];
  readonly windows: (readonly LayerSimilarity[])[];
  readonly scales: LayerScales[];
  readonly failures: unknown[];
}

const opened: LiveSimilarity[] = [];
afterEach(async () => {
  for (const similarity of opened.splice(0)) await similarity.close();
});

function observed(options: Partial<LiveSimilarityOptions> = {}): Observed {
  const quiet = createQuietTime(systemTimers, 1);
  const told = {
    quiet,
    batches: [] as number[],
    windows: [] as (readonly LayerSimilarity[])[],
    scales: [] as LayerScales[],
    failures: [] as unknown[],
  };
  const similarity = createLiveSimilarity({
    members,
    quiet,
    timers: systemTimers,
    random: () => 0,
    every: 1,
    places: { perText: 8, batch: 32, batches: 1 },
    windowMs: WINDOW_MS,
    scales: null,
    onBatch: (value) => told.batches.push(value),
    onWindow: (similarities) => told.windows.push(similarities),
    onScales: (learned) => told.scales.push(learned),
    onFailure: (error) => told.failures.push(error),
    ...options,
  });
  opened.push(similarity);
  return { similarity, ...told };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not come about within 5 s");
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

/** Offers texts one after another, each when the one before has been read. */
async function offerAll(
  { similarity }: Observed,
  texts: readonly string[],
  reads: () => number,
): Promise<void> {
  for (const one of texts) {
    const before = reads();
    similarity.offer({ kind: "text", text: one });
    await until(() => reads() > before);
  }
}

/** Members that count the texts that all of them have read. */
function counting(models: readonly LanguageModel[]) {
  let closed = 0;
  const counted = models.map((model) => ({
    ...model,
    openSequence() {
      const sequence = model.openSequence();
      return {
        get length() {
          return sequence.length;
        },
        append: sequence.append.bind(sequence),
        truncate: sequence.truncate.bind(sequence),
        close() {
          sequence.close();
          closed++;
        },
      };
    },
  }));
  return { counted, reads: () => Math.floor(closed / models.length) };
}

/** The debiased CKA of all places at once, scaled as it was live, by the code that fits read a corpus with. */
async function offline(texts: readonly string[], places: number, scales: LayerScales): Promise<Matrix> {
  const { taps } = await collectStates({
    members,
    documents: texts.map((one) => ({ domain: "text", source: one, passages: [{ kind: "text", text: one }] })),
    shares: [1],
    taps: members.map(({ info }) => tappedLayers(info)),
    tappedPlaces: places,
    progress: silentProgress,
  });
  const [xs = [], ys = []] = taps.map(({ states }, m) =>
    states.map((rows, i) => {
      const width = members[m]?.info.width ?? 1;
      const fitted = scales[m]?.[i];
      if (!fitted) throw new Error("expected a scale for each layer");
      return standardise(matrixFrom(rows.length / width, width, rows), fitted);
    }),
  );
  return ckaMatrix(xs, ys);
}

describe("layers compared on live texts", () => {
  test("one batch equals what the offline comparison gives for the same places", async () => {
    const texts = Array.from({ length: 4 }, () => text(8));
    const scales = members.map(({ info }) =>
      tappedLayers(info).map((_, i) => {
        const rows = Float64Array.from({ length: 20 * info.width }, () => i + random.normal());
        return fitStandardisation(matrixFrom(20, info.width, rows));
      }),
    );
    const { counted, reads } = counting(members);
    const live = observed({ members: counted, scales });
    await offerAll(live, texts, reads);
    await until(() => live.windows.length === 1);
    const [window = []] = live.windows;
    const expected = await offline(texts, 32, scales);
    expect(window.map(({ layerA, layerB }) => [layerA, layerB])).toEqual(
      [0, 3, 4].flatMap((a) => [0, 3, 6].map((b) => [a, b])),
    );
    expect(
      largestDifference(
        Float64Array.from(window, ({ value }) => value),
        expected.data,
      ),
    ).toBeLessThan(1e-9);
    expect(live.batches).toEqual([window.at(-1)?.value]);
    expect(window[0]).toMatchObject({ memberA: "first", memberB: "second", positions: 32 });
    expect(live.scales).toEqual([]);
  });

  test("scales are learned from the places gathered first, and later ones dealt in batches", async () => {
    const { counted, reads } = counting(members);
    const live = observed({ members: counted, places: { perText: 16, batch: 8, batches: 4 } });
    await offerAll(live, [text(16), text(16)], reads);
    await until(() => live.scales.length === 1);
    expect(live.scales[0]?.map((own) => own.length)).toEqual([3, 3]);
    expect(live.batches).toEqual([]);
    await offerAll(live, [text(16), text(16)], reads);
    await until(() => live.batches.length === 4);
    expect(live.windows.map(([first]) => first?.positions)).toEqual([8, 16, 24, 32]);
    expect(live.scales).toHaveLength(1);
  });

  test("one answer of each block is read, and texts that wait are few", async () => {
    const { counted, reads } = counting(members);
    const live = observed({ members: counted, every: 4, random: () => 0.99 });
    for (let i = 0; i < 7; i++) live.similarity.offer({ kind: "text", text: text(5) });
    await until(() => reads() === 1);
    live.similarity.offer({ kind: "text", text: text(5) });
    await until(() => reads() === 2);

    const held = observed({ members: counted });
    const over = held.quiet.begin();
    for (let i = 0; i < 9; i++) held.similarity.offer({ kind: "text", text: text(5) });
    over();
    await until(() => reads() === 6);
    await new Promise((resolve) => {
      setTimeout(resolve, 30);
    });
    expect(reads()).toBe(6);
  });

  test("nothing is read while somebody waits, and a reading is put off when somebody comes", async () => {
    const appended: number[] = [];
    let interrupt: (() => void) | null = null;
    const slow = members.map((model): LanguageModel => ({
      ...model,
      openSequence() {
        const sequence = model.openSequence();
        return {
          get length() {
            return sequence.length;
          },
          async append(tokens, options) {
            appended.push(tokens.length);
            interrupt?.();
            return sequence.append(tokens, options);
          },
          truncate: (length) => sequence.truncate(length),
          close: () => sequence.close(),
        };
      },
    }));
    const live = observed({
      members: slow,
      places: { perText: 16, batch: 8, batches: 1 },
      scales: await flatScales(),
    });
    const over = live.quiet.begin();
    live.similarity.offer({ kind: "text", text: text(16) });
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    expect(appended).toEqual([]);

    let came: (() => void) | null = null;
    interrupt = () => {
      interrupt = null;
      came = live.quiet.begin();
    };
    over();
    await until(() => came !== null);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    expect(appended).toEqual([16]);
    (came as (() => void) | null)?.();
    await until(() => live.batches.length === 2);
    expect(Math.max(...appended)).toBe(16);
    expect(live.failures).toEqual([]);
  });

  test("a member that is lost costs the text, and nothing else", async () => {
    let lost = true;
    const broken = members.map((model): LanguageModel => ({
      ...model,
      openSequence() {
        if (lost) throw new GatewayError("members_lost", "it is gone");
        return model.openSequence();
      },
    }));
    const { counted, reads } = counting(broken);
    const live = observed({
      members: counted,
      places: { perText: 16, batch: 8, batches: 1 },
      scales: await flatScales(),
    });
    live.similarity.offer({ kind: "text", text: text(16) });
    await new Promise((resolve) => {
      setTimeout(resolve, 30);
    });
    lost = false;
    await offerAll(live, [text(16)], reads);
    await until(() => live.batches.length === 2);
    expect(live.failures).toEqual([]);
  });

  test("a long conversation is passed over, and a long text cut", async () => {
    const { counted, reads } = counting(members);
    const live = observed({
      members: counted,
      places: { perText: 16, batch: 8, batches: 1 },
      scales: await flatScales(),
    });
    live.similarity.offer({
      kind: "chat",
      messages: [{ role: "user", content: text(500) }],
      answer: "a b c",
    });
    await offerAll(live, [text(2000)], reads);
    // 128 tokens are 25 words of it, and 16 of these are drawn.
    await until(() => live.batches.length === 2);
    expect(reads()).toBe(1);
  });

  test("closing forgets the texts that wait", async () => {
    const { counted, reads } = counting(members);
    const live = observed({ members: counted });
    const over = live.quiet.begin();
    live.similarity.offer({ kind: "text", text: text(5) });
    await live.similarity.close();
    over();
    live.similarity.offer({ kind: "text", text: text(5) });
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    expect([reads(), live.failures]).toEqual([0, []]);
  });
});

async function flatScales(): Promise<LayerScales> {
  return members.map(({ info }) =>
    tappedLayers(info).map(() => ({
      mean: new Float64Array(info.width),
      deviation: new Float64Array(info.width).fill(1),
    })),
  );
}

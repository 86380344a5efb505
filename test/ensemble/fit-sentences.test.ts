import { describe, expect, test } from "vitest";
import type { CorpusDocument } from "../../src/ensemble/corpus.ts";
import { fitSentences, type SentenceMember } from "../../src/ensemble/fit-sentences.ts";
import { cutSentences } from "../../src/ensemble/sentences.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { silentProgress } from "../../src/ports/progress.ts";

/** Turns a text's number into a few numbers of its own, told apart by layer; layer 0 is noise. */
function member(id: string, width: number): SentenceMember {
  const mixing = createRandom(width);
  const weights = Array.from({ length: width * 4 }, () => mixing.normal());
  return {
    id,
    width,
    layers: { middle: 0, deep: 1 },
    async encode(texts, { layers }) {
      const rows = (layer: number): Float32Array =>
        Float32Array.from(
          texts.flatMap((text) => {
            const meaning = createRandom(layer === 0 ? Number(text) * 31 + width : Number(text));
            const latent = Array.from({ length: 4 }, () => meaning.normal());
            return Array.from({ length: width }, (_, j) =>
              latent.reduce((sum, x, k) => sum + x * (weights[j * 4 + k] ?? 0), 0),
            );
          }),
        );
      return {
        layers: new Map(layers.map((layer) => [layer, rows(layer)])),
        tokens: new Int32Array(texts.length),
      };
    },
  };
}

const texts = (first: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${first + i}`);

describe("fitSentences", () => {
  test("finds held-out sentences again where the layers share a meaning, and not where they do not", async () => {
    const fitted = await fitSentences({
      members: [member("a", 6), member("b", 9), member("c", 5)],
      fit: texts(0, 120),
      report: texts(1000, 60),
      depths: ["deep", "middle"],
      dimension: 4,
      ridge: 0.01,
      components: 9,
      progress: silentProgress,
    });
    const [deep, middle] = fitted;
    expect(fitted.map(({ name }) => name)).toEqual(["deep", "middle"]);
    expect(deep?.space.maps.map(({ id, layer }) => `${id} ${layer}`)).toEqual(["a 1", "b 1", "c 1"]);
    expect(deep?.heldOut?.least).toBeGreaterThan(0.95);
    expect(middle?.heldOut?.mean).toBeLessThan(0.3);
  });

  test("one member alone has nothing to be compared with", async () => {
    const [deep] = await fitSentences({
      members: [member("a", 6)],
      fit: texts(0, 50),
      report: texts(100, 10),
      depths: ["deep"],
      dimension: 2,
      ridge: 0.1,
      components: 4,
      progress: silentProgress,
    });
    expect(deep?.heldOut).toBeNull();
  });
});

describe("cutSentences", () => {
  test("cuts texts and turns into sentences, each once, neither very short nor very long", () => {
    const documents: CorpusDocument[] = [
      {
        domain: "text",
        source: "a",
        passages: [
          { kind: "text", text: `The harbour froze. No. It thawed in the spring. ${"X".repeat(401)}` },
        ],
      },
      {
        domain: "chat",
        source: "b",
        passages: [
          {
            kind: "chat",
            messages: [{ role: "user", content: "When did it thaw?" }],
            answer: "It thawed in the spring. The ships left soon after.",
          },
        ],
      },
    ];
    expect(cutSentences(documents)).toEqual([
      "The harbour froze.",
      "It thawed in the spring.",
      "When did it thaw?",
      "The ships left soon after.",
    ]);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { SentenceEncoder } from "../../src/ports/sentence-encoder.ts";

export interface SentenceEncoderContract {
  readonly open: () => Promise<{ readonly encoder: SentenceEncoder; close(): Promise<void> }>;
  /** Largest share by which a state may differ when other texts are encoded with it. */
  readonly tolerance: number;
}

const TEXTS = [
  "The harbour froze in the year the lighthouse was built.",
  "Granite.",
  "Who reads the list aloud?",
];

/** What every sentence encoder does. */
export function describeSentenceEncoder(name: string, { open, tolerance }: SentenceEncoderContract): void {
  describe(`sentence encoder ${name}`, () => {
    let opened: Awaited<ReturnType<SentenceEncoderContract["open"]>>;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());

    test("gives a row of d finite numbers for each text and layer, and counts its tokens", async () => {
      const { encoder } = opened;
      const states = await encoder.encode(TEXTS, { layers: layersOf(encoder) });
      expect([...states.layers.keys()].toSorted((a, b) => a - b)).toEqual(layersOf(encoder));
      for (const rows of states.layers.values()) {
        expect(rows.length).toBe(TEXTS.length * encoder.info.width);
        expect(rows.every(Number.isFinite)).toBe(true);
      }
      expect(states.tokens.length).toBe(TEXTS.length);
      expect(Math.min(...states.tokens)).toBeGreaterThan(0);
      expect(states.tokens[0]).toBeGreaterThan(states.tokens[1] ?? Infinity);
    });

    test("a text's states are its own, whatever is encoded with it", async () => {
      const { encoder } = opened;
      const { width, layers: last } = encoder.info;
      const together = (await encoder.encode(TEXTS, { layers: [last] })).layers.get(last);
      for (const [row, text] of TEXTS.entries()) {
        const alone = (await encoder.encode([text], { layers: [last] })).layers.get(last);
        const found = together?.subarray(row * width, (row + 1) * width) ?? new Float32Array();
        expect(alone?.length).toBe(width);
        expect(distance(alone ?? found, found) / length(found)).toBeLessThanOrEqual(tolerance);
      }
    });

    test("different texts have different states", async () => {
      const { encoder } = opened;
      const { width, layers: last } = encoder.info;
      const rows = (await encoder.encode(TEXTS, { layers: [last] })).layers.get(last) ?? new Float32Array();
      const [a, b] = [rows.subarray(0, width), rows.subarray(width, 2 * width)];
      expect(distance(a, b) / length(b)).toBeGreaterThan(10 * tolerance + 0.01);
    });

    test("no texts give no rows", async () => {
      const { encoder } = opened;
      const states = await encoder.encode([], { layers: [0] });
      expect(states.layers.get(0)?.length).toBe(0);
      expect(states.tokens.length).toBe(0);
    });

    test("refuses layers it has not, and none", async () => {
      const { encoder } = opened;
      for (const layers of [[], [-1], [encoder.info.layers + 1], [0.5]]) {
        await expect(encoder.encode(TEXTS, { layers })).rejects.toThrow(RangeError);
      }
    });

    test("a text above the context is refused, and the next one is encoded", async () => {
      const { encoder } = opened;
      const long = "granite ".repeat(encoder.info.contextLength + 1);
      await expect(encoder.encode([long], { layers: [0] })).rejects.toMatchObject({
        code: "context_length_exceeded",
      });
      expect((await encoder.encode(["granite"], { layers: [0] })).tokens.length).toBe(1);
    });

    test("a cancelled call is refused as such", async () => {
      const { encoder } = opened;
      const encoding = encoder.encode(TEXTS, { layers: [0], signal: AbortSignal.abort() });
      await expect(encoding).rejects.toThrow(GatewayError);
      await expect(encoding).rejects.toMatchObject({ code: "cancelled" });
    });
  });
}

function layersOf({ info }: SentenceEncoder): number[] {
  return [0, info.layers];
}

function distance(a: Float32Array, b: Float32Array): number {
  return length(a.map((x, j) => x - (b[j] ?? Number.NaN)));
}

function length(a: Float32Array): number {
  return Math.sqrt(a.reduce((sum, x) => sum + x * x, 0));
}

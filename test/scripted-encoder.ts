import type { EncoderSource } from "../src/ensemble/sentence-encoders.ts";
import { GatewayError } from "../src/ports/gateway-error.ts";
import type { SentenceEncoder } from "../src/ports/sentence-encoder.ts";

export interface ScriptedSource extends EncoderSource {
  /** How often it was started and ended. */
  readonly starts: () => number;
  readonly ends: () => number;
  /** The next start fails. */
  breakStart(): void;
}

/** A text's state at layer l: (length, l, 1, …) of width d; a token a word; "long" is above the context. */
export function createScriptedSource(id: string, width = 3, layers = 4): ScriptedSource {
  let starts = 0;
  let ends = 0;
  let broken = false;
  const info = { id, family: "scripted", width, layers, contextLength: 8, weightsHash: `${id}-hash` };
  const encoder: SentenceEncoder = {
    info,
    async encode(texts, options) {
      const empty = texts.findIndex((text) => text.trim() === "");
      if (empty >= 0) throw new RangeError(`${id} encode: text ${empty} has no tokens`);
      if (texts.includes("long")) throw new GatewayError("context_length_exceeded", `${id}: too long`);
      const rows = (layer: number): Float32Array =>
        Float32Array.from(
          texts.flatMap((text) => Array.from({ length: width }, (_, j) => [text.length, layer][j] ?? 1)),
        );
      return {
        layers: new Map(options.layers.map((layer) => [layer, rows(layer)])),
        tokens: Int32Array.from(texts, (text) => text.split(" ").length),
      };
    },
  };
  return {
    id,
    weightsHash: info.weightsHash,
    starts: () => starts,
    ends: () => ends,
    breakStart: () => void (broken = true),
    async open() {
      starts += 1;
      if (broken) {
        broken = false;
        throw new Error("no file");
      }
      return { encoder, close: async () => void (ends += 1) };
    },
  };
}

import { createRandom } from "../src/linalg/random.ts";
import { GatewayError } from "../src/ports/gateway-error.ts";
import type {
  Decoder,
  HiddenStates,
  LanguageModel,
  ModelInfo,
  Sequence,
} from "../src/ports/language-model.ts";
import type { Tokenizer } from "../src/ports/tokenizer.ts";

export interface ScriptedMemberOptions {
  readonly id?: string;
  /** Decides the embeddings and the head. */
  readonly seed?: number;
  /** d. */
  readonly width?: number;
  /** L. */
  readonly layers?: number;
  readonly contextLength?: number;
  readonly tokenizer?: Tokenizer;
}

/**
 * A toy language model in memory, the same numbers every time: the residual stream after block l of token t is
 * r_l(t) = r_{l-1}(t) + l/(2L) · r_l(t - 1), r_0 the token's embedding, and the final state is r_L over its root
 * mean square. Its head is a random matrix.
 */
export function createScriptedMember(options: ScriptedMemberOptions = {}): LanguageModel {
  const { id = "scripted", seed = 1, width = 16, layers = 4, contextLength = 2048 } = options;
  const tokenizer = options.tokenizer ?? createByteTokenizer();
  const random = createRandom(seed);
  const normals = (rows: number) => Float32Array.from({ length: rows * width }, () => random.normal());
  const embeddings = normals(tokenizer.vocabularySize);
  const output = normals(tokenizer.vocabularySize);
  const info: ModelInfo = {
    id,
    family: "scripted",
    width,
    layers,
    contextLength,
    weightsHash: seed.toString(16).padStart(64, "0"),
  };
  let closed = false;
  const checkMember = () => {
    if (closed) throw new GatewayError("members_lost", `${id}: it was closed`);
  };
  return {
    info,
    tokenizer,
    head: createScriptedHead(id, output, width, checkMember),
    openSequence: () => createScriptedSequence(info, embeddings, checkMember),
    async close() {
      closed = true;
    },
  };
}

/** Residual streams of one token, one row for each layer from 0 to L. */
type Residuals = readonly Float32Array[];

function createScriptedSequence(
  info: ModelInfo,
  embeddings: Float32Array,
  checkMember: () => void,
): Sequence {
  const { id, width, layers, contextLength } = info;
  let read: Residuals[] = [];
  let closed = false;
  const checkOpen = () => {
    if (closed) throw new Error(`${id}: the sequence is closed`);
  };

  function next(previous: Residuals | undefined, token: number): Residuals {
    let x = embeddings.slice(token * width, (token + 1) * width);
    const residuals = [x];
    for (let layer = 1; layer <= layers; layer++) {
      const before = previous?.[layer];
      x = x.map((value, i) => value + (layer / (2 * layers)) * (before?.[i] ?? 0));
      residuals.push(x);
    }
    return residuals;
  }

  return {
    get length() {
      return read.length;
    },
    async append(tokens, { rows = 1, taps = [], signal } = {}): Promise<HiddenStates> {
      checkOpen();
      checkMember();
      if (read.length + tokens.length > contextLength) {
        const total = read.length + tokens.length;
        throw new GatewayError(
          "context_length_exceeded",
          `${id}: ${total} tokens are above ${contextLength}`,
        );
      }
      const longer = [...read];
      for (const token of tokens) longer.push(next(longer.at(-1), token));
      // A turn of the event loop, in which a real member would compute.
      await new Promise((resolve) => {
        setTimeout(resolve, 0);
      });
      checkMember();
      if (signal?.aborted) throw new GatewayError("cancelled", `${id}: cancelled`);
      read = longer;
      const last = longer.slice(longer.length - rows);
      const layer = (l: number) =>
        joinRows(
          last.map((residuals) => residuals[l] ?? new Float32Array(width)),
          width,
        );
      const hidden = joinRows(
        last.map((residuals) => overRms(residuals[layers] ?? new Float32Array(width))),
        width,
      );
      return { rows, hidden, taps: new Map(taps.map((l) => [l, layer(l)])) };
    },
    truncate(length) {
      checkOpen();
      if (!(length >= 0 && length <= read.length)) {
        throw new RangeError(`${id} truncate: expected a length from 0 to ${read.length}, got ${length}`);
      }
      read = read.slice(0, length);
    },
    close() {
      closed = true;
    },
  };
}

function createScriptedHead(
  id: string,
  output: Float32Array,
  width: number,
  checkMember: () => void,
): Decoder {
  const vocabularySize = output.length / width;
  return {
    width,
    vocabularySize,
    async decode(states, signal) {
      checkMember();
      if (states.length % width !== 0)
        throw new RangeError(`${id}: ${states.length} is no multiple of ${width}`);
      if (signal?.aborted) throw new GatewayError("cancelled", `${id}: cancelled`);
      const rows = states.length / width;
      const logits = new Float32Array(rows * vocabularySize);
      for (let row = 0; row < rows; row++) {
        const state = states.subarray(row * width, (row + 1) * width);
        for (let token = 0; token < vocabularySize; token++) {
          const weights = output.subarray(token * width, (token + 1) * width);
          logits[row * vocabularySize + token] = state.reduce((sum, x, i) => sum + x * (weights[i] ?? 0), 0);
        }
      }
      return logits;
    },
  };
}

function overRms(x: Float32Array): Float32Array {
  const rms = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length);
  return x.map((value) => value / rms);
}

function joinRows(rows: readonly Float32Array[], width: number): Float32Array {
  const joined = new Float32Array(rows.length * width);
  rows.forEach((row, i) => joined.set(row, i * width));
  return joined;
}

const DOCUMENT_START = 256;
const END = 257;
const WRITTEN: ReadonlyMap<number, string> = new Map([
  [DOCUMENT_START, "<start>"],
  [END, "<end>"],
]);

/** One token for each byte, and two special ones: `<start>` and `<end>`. */
export function createByteTokenizer(): Tokenizer {
  const bytes = (token: number) => {
    const written = WRITTEN.get(token);
    return written === undefined ? Uint8Array.of(token) : new TextEncoder().encode(written);
  };
  return {
    vocabularySize: 258,
    documentStart: DOCUMENT_START,
    endTokens: [END],
    specialTokens: new Set(WRITTEN.keys()),
    encode(text) {
      const ids: number[] = [];
      const ends: number[] = [];
      for (const part of text.split(/(<start>|<end>)/)) {
        const special = [...WRITTEN].find(([, written]) => written === part)?.[0];
        const encoded = new TextEncoder().encode(part);
        const end = ends.at(-1) ?? 0;
        ids.push(...(special === undefined ? encoded : [special]));
        const each = special === undefined ? Array.from(encoded.keys(), (i) => i + 1) : [encoded.length];
        ends.push(...each.map((length) => end + length));
      }
      return { ids: Int32Array.from(ids), ends: Int32Array.from(ends) };
    },
    bytes,
    decode: (tokens) =>
      new TextDecoder().decode(Uint8Array.from([...tokens].flatMap((token) => Array.from(bytes(token))))),
    renderChat: (messages) =>
      messages.map(({ role, content }) => `${role}: ${content}\n`).join("") + "assistant: ",
    chatStops: ["\nuser:"],
  };
}

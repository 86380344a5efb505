import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { AppendOptions, HiddenStates, Sequence } from "../../src/ports/language-model.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import type { WorkerChannel } from "./worker-channel.ts";

export interface WorkerSequenceOptions {
  /** The member's. */
  readonly id: string;
  readonly channel: WorkerChannel;
  readonly shape: ModelShape;
  /** Tells the sequences of one worker apart. */
  readonly number: number;
}

/** Tokens read in one go: long enough to be fast, short enough to cancel between (under a second). */
const TOKENS_PER_REQUEST = 256;

/**
 * A sequence whose cache lies in the worker. Only this side counts its tokens: the worker puts new entries where it is
 * told, so forgetting tokens or giving up half way needs no message.
 */
export function createWorkerSequence(options: WorkerSequenceOptions): Sequence {
  const { id, channel, shape, number } = options;
  let length = 0;
  let reading = false;
  let closed = false;

  function checkOpen(call: string): void {
    if (closed) throw new Error(`${id} ${call}: the sequence is closed; open another`);
  }

  function checkIdle(call: string): void {
    checkOpen(call);
    if (reading) throw new Error(`${id} ${call}: the sequence is still reading; await the call before`);
  }

  async function read(
    tokens: Int32Array,
    rows: number,
    taps: readonly number[],
    { signal, onProgress }: AppendOptions,
  ): Promise<HiddenStates> {
    const hidden = new Float32Array(rows * shape.width);
    const residuals = taps.map(() => new Float32Array(hidden.length));
    const skipped = tokens.length - rows;
    let reused = 0;
    for (let first = 0; first < tokens.length; first += TOKENS_PER_REQUEST) {
      throwIfAborted(id, signal);
      if (first > 0) onProgress?.();
      const piece = tokens.slice(first, first + TOKENS_PER_REQUEST);
      const end = first + piece.length;
      const wanted = Math.min(piece.length, Math.max(0, end - skipped));
      const request = { sequence: number, start: length + first, tokens: piece, rows: wanted, taps };
      const result = await channel.append({ kind: "append", ...request });
      checkOpen("append");
      reused += result.reused;
      const offset = (end - wanted - skipped) * shape.width;
      if (wanted === 0) continue;
      hidden.set(result.hidden, offset);
      residuals.forEach((residual, i) => residual.set(result.taps[i] ?? [], offset));
    }
    throwIfAborted(id, signal);
    return {
      rows,
      reused,
      hidden,
      taps: new Map(taps.map((layer, i) => [layer, residuals[i] ?? new Float32Array(0)])),
    };
  }

  return {
    get length() {
      return length;
    },
    async append(tokens, appendOptions = {}) {
      checkIdle("append");
      const { rows = 1, taps = [] } = appendOptions;
      checkAppend(options, length, tokens, rows, taps);
      reading = true;
      try {
        const result = await read(Int32Array.from(tokens), rows, taps, appendOptions);
        length += tokens.length;
        return result;
      } finally {
        reading = false;
      }
    },
    truncate(newLength) {
      checkIdle("truncate");
      if (!Number.isInteger(newLength) || newLength < 0 || newLength > length) {
        throw new RangeError(`${id} truncate: expected a length from 0 to ${length}, got ${newLength}`);
      }
      length = newLength;
    },
    close() {
      if (closed) return;
      closed = true;
      channel.forget(number);
    },
  };
}

function throwIfAborted(id: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new GatewayError("cancelled", `${id} append: cancelled`, { cause: signal.reason });
  }
}

function checkAppend(
  { id, shape }: WorkerSequenceOptions,
  length: number,
  tokens: readonly number[] | Int32Array,
  rows: number,
  taps: Required<AppendOptions>["taps"],
): void {
  const { contextLength, layers, vocabularySize } = shape;
  if (tokens.length === 0) throw new RangeError(`${id} append: expected at least one token, got none`);
  if (length + tokens.length > contextLength) {
    throw new GatewayError(
      "context_length_exceeded",
      `${id}: ${length} tokens read and ${tokens.length} more are above its context length of ${contextLength}; shorten the prompt`,
    );
  }
  if (!Number.isInteger(rows) || rows < 0 || rows > tokens.length) {
    throw new RangeError(`${id} append: expected 0 to ${tokens.length} rows, got ${rows}`);
  }
  const wrongTap = taps.find((layer) => !Number.isInteger(layer) || layer < 0 || layer > layers);
  if (wrongTap !== undefined) {
    throw new RangeError(`${id} append: expected taps from 0 to ${layers}, got ${wrongTap}`);
  }
  const wrongToken = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabularySize);
  if (wrongToken !== undefined) {
    throw new RangeError(`${id} append: expected token ids below ${vocabularySize}, got ${wrongToken}`);
  }
}

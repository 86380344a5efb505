import { GatewayError } from "../ports/gateway-error.ts";
import type { Health } from "../ports/health.ts";
import type { Decoder, HiddenStates, LanguageModel, Sequence } from "../ports/language-model.ts";
import type { SentenceEncoder, SentenceStates } from "../ports/sentence-encoder.ts";
import type { FusedWords, Fusion } from "./fusion.ts";
import { createSupervisor, type Instance, type Running, type Supervision } from "./supervisor.ts";

export interface SupervisedMemberOptions extends Supervision {
  readonly id: string;
  readonly start: (signal: AbortSignal) => Promise<LanguageModel & Running>;
}

/** A member that is started again when it is lost. */
export interface SupervisedMember extends LanguageModel {
  readonly health: Health;
}

/**
 * A member under supervision: it is lost when it ends, fails, gives states that are not finite, or has a question for
 * the time-out without a sign of life. What is asked of it then is refused as `members_lost`, never later than that; so
 * are the sequences that it held, for good, and `openSequence` until the next one runs. An answer that has lost it goes
 * on without it, and the next one reads its text with the new one.
 */
export async function createSupervisedMember(options: SupervisedMemberOptions): Promise<SupervisedMember> {
  const supervisor = await createSupervisor(options);
  const { info, tokenizer, head } = supervisor.current().running;
  return {
    info,
    tokenizer,
    head: {
      width: head.width,
      vocabularySize: head.vocabularySize,
      async decode(states, signal) {
        const instance = supervisor.current();
        return instance.ask(() => instance.running.head.decode(states, signal), logitsFault);
      },
    },
    openSequence: () => superviseSequence(supervisor.current()),
    get health() {
      return supervisor.health;
    },
    close: () => supervisor.close(),
  };
}

function superviseSequence({ running, ask }: Instance<LanguageModel>): Sequence {
  const inner = running.openSequence();
  let { length } = inner;
  return {
    get length() {
      return length;
    },
    async append(tokens, options = {}) {
      const states = await ask(
        (alive) => inner.append(tokens, { ...options, onProgress: alive }),
        statesFault,
      );
      length += tokens.length;
      return states;
    },
    truncate(newLength) {
      inner.truncate(newLength);
      length = newLength;
    },
    close: () => inner.close(),
  };
}

export interface SupervisedDecoderOptions extends Supervision {
  readonly id: string;
  readonly start: (signal: AbortSignal) => Promise<Decoder & Running & { readonly fusion?: Fusion | null }>;
}

export interface SupervisedDecoder extends Decoder {
  /** Null where the decoder has none. */
  readonly fusion: Fusion | null;
  readonly health: Health;
  close(): Promise<void>;
}

/**
 * A decoder under supervision. It keeps nothing between two calls, so one that is lost in the middle is asked again
 * as soon as it is back: once, and after the time-out at most. @throws GatewayError members_lost from `decode`
 */
export async function createSupervisedDecoder(options: SupervisedDecoderOptions): Promise<SupervisedDecoder> {
  const supervisor = await createSupervisor(options);
  type Started = Awaited<ReturnType<SupervisedDecoderOptions["start"]>>;
  const { width, vocabularySize, fusion } = supervisor.current().running;
  async function ask<T>(
    question: (running: Started) => Promise<T>,
    fault: (answer: T) => string | null,
  ): Promise<T> {
    const once = async (): Promise<T> => {
      const instance = await supervisor.whenUp();
      return instance.ask(() => question(instance.running), fault);
    };
    return once().catch((error: unknown) => {
      if (error instanceof GatewayError && error.code === "members_lost") return once();
      throw error;
    });
  }
  return {
    width,
    vocabularySize,
    decode: (states, signal) => ask((running) => running.decode(states, signal), logitsFault),
    fusion: fusion
      ? {
          fuse(positions, signal, done) {
            // An instance that was given up may still write there.
            let spare = done;
            return ask((running) => {
              const taken = spare;
              spare = undefined;
              return (running.fusion ?? fusion).fuse(positions, signal, taken);
            }, wordsFault);
          },
        }
      : null,
    get health() {
      return supervisor.health;
    },
    close: () => supervisor.close(),
  };
}

export interface SupervisedEncoderOptions extends Supervision {
  readonly id: string;
  readonly start: (signal: AbortSignal) => Promise<SentenceEncoder & Running>;
}

export interface SupervisedEncoder extends SentenceEncoder {
  readonly health: Health;
  close(): Promise<void>;
}

/** A sentence encoder under supervision, lost as a member is; what is asked of it while it is down is refused at once. */
export async function createSupervisedEncoder(options: SupervisedEncoderOptions): Promise<SupervisedEncoder> {
  const supervisor = await createSupervisor(options);
  return {
    info: supervisor.current().running.info,
    async encode(texts, encodeOptions) {
      const { running, ask } = supervisor.current();
      return ask((alive) => running.encode(texts, { ...encodeOptions, onProgress: alive }), encodedFault);
    },
    get health() {
      return supervisor.health;
    },
    close: () => supervisor.close(),
  };
}

const NOT_FINITE = "it gave states that are not finite numbers";

function statesFault({ hidden, taps }: HiddenStates): string | null {
  return allFinite(hidden) && [...taps.values()].every(allFinite) ? null : NOT_FINITE;
}

function encodedFault({ layers }: SentenceStates): string | null {
  return [...layers.values()].every(allFinite) ? null : NOT_FINITE;
}

/** Log-probabilities may be −∞; what is summed up over them may not. */
function wordsFault(words: readonly FusedWords[]): string | null {
  const whole = words.every(
    ({ entropy, comparison, projected }) =>
      Number.isFinite(entropy + comparison.divergence) && projected.every(allFinite),
  );
  return whole ? null : "it gave distributions that are not finite numbers";
}

function logitsFault(logits: Float32Array): string | null {
  return allFinite(logits) ? null : "it gave logits that are not finite numbers";
}

/** A sum in double precision of finite single ones is finite, and of others it is not: 25 µs for 49,152 numbers. */
function allFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return Number.isFinite(sum);
}

import { EventEmitter, once } from "node:events";
import type { Running } from "../src/ensemble/supervisor.ts";
import { GatewayError } from "../src/ports/gateway-error.ts";
import type { Decoder, HiddenStates, LanguageModel } from "../src/ports/language-model.ts";
import type { SentenceEncoder } from "../src/ports/sentence-encoder.ts";
import { createScriptedMember, type ScriptedMemberOptions } from "./scripted-member.ts";

/** `crash`: it ends; `error`: it fails at what it is asked; `hang`: no answer; `poison`: no numbers; `infinity`: too large ones. */
export const FAULTS = ["crash", "error", "hang", "poison", "infinity"] as const;
export type Fault = (typeof FAULTS)[number];

/** Whatever is started again and again, and breaks when told to. */
export interface Faulty<T> {
  readonly start: (signal: AbortSignal) => Promise<T & Running>;
  /** From its next question on, the one that runs has this fault. Its successors are sound. */
  break(fault: Fault): void;
  /** What the next start does; one at a time. */
  nextStart(way: "fails" | "hangs"): void;
  /** From now on every start fails. */
  neverStart(): void;
  readonly starts: number;
  /** Ones that were given up. */
  readonly abandoned: number;
  /** Lets those that hang end. */
  release(): void;
}

export function createFaultyMember(options: ScriptedMemberOptions): Faulty<LanguageModel> {
  return createFaulty(options.id ?? "scripted", (faulty) => {
    const model = createScriptedMember(options);
    return {
      ...model,
      head: faultyDecoder(model.head, faulty),
      openSequence() {
        const sequence = model.openSequence();
        return {
          get length() {
            return sequence.length;
          },
          append: async (tokens, appendOptions) =>
            poisoned(await faulty(() => sequence.append(tokens, appendOptions)), faulty.value),
          truncate: (length) => sequence.truncate(length),
          close: () => sequence.close(),
        };
      },
    };
  });
}

function poisoned(states: HiddenStates, value: number | null): HiddenStates {
  return value === null ? states : { ...states, hidden: withNumber(states.hidden, value) };
}

function withNumber(numbers: Float32Array, value: number): Float32Array {
  return numbers.map((x, i) => (i === 3 ? value : x));
}

export function createFaultyDecoder(id: string, decoder: Decoder): Faulty<Decoder> {
  return createFaulty(id, (faulty) => ({ ...faultyDecoder(decoder, faulty), close: async () => {} }));
}

export function createFaultyEncoder(encoder: SentenceEncoder): Faulty<SentenceEncoder> {
  return createFaulty<SentenceEncoder & { close(): Promise<void> }>(encoder.info.id, (faulty) => ({
    info: encoder.info,
    async encode(texts, options) {
      const states = await faulty(() => encoder.encode(texts, options));
      const { value } = faulty;
      if (value === null) return states;
      return {
        ...states,
        layers: new Map([...states.layers].map(([l, rows]) => [l, withNumber(rows, value)])),
      };
    },
    close: async () => {},
  }));
}

function faultyDecoder(decoder: Decoder, faulty: Breakable): Decoder {
  return {
    width: decoder.width,
    vocabularySize: decoder.vocabularySize,
    async decode(states, signal) {
      const logits = await faulty(() => decoder.decode(states, signal));
      const { value } = faulty;
      return value === null ? logits : withNumber(logits, value);
    },
  };
}

interface Breakable {
  /** Does what is asked, or breaks. */
  <T>(work: () => Promise<T>): Promise<T>;
  /** What one of its numbers is instead; null while it is sound. */
  readonly value: number | null;
}

function createFaulty<T extends { close(): Promise<void> }>(
  id: string,
  make: (faulty: Breakable) => T,
): Faulty<T> {
  let present: { fault: Fault | null } = { fault: null };
  let starts = 0;
  let abandoned = 0;
  let next: "fails" | "hangs" | null = null;
  let dead = false;
  const hanging: (() => void)[] = [];
  const hang = (): Promise<void> => new Promise((resolve) => void hanging.push(resolve));

  async function start(): Promise<T & Running> {
    starts++;
    const way = next;
    next = null;
    if (dead || way === "fails") throw new GatewayError("members_lost", `${id}: it does not start`);
    if (way === "hangs") await hang();
    const own: typeof present = { fault: null };
    present = own;
    const ending = new EventEmitter();
    const lost = once(ending, "end").then(
      () => new GatewayError("members_lost", `${id}: it ended with code 7`),
    );
    const faulty = async <R>(work: () => Promise<R>): Promise<R> => {
      if (own.fault === "hang") await hang();
      if (own.fault === "error") throw new GatewayError("internal", `${id}: out of paper`);
      if (own.fault === "crash") {
        ending.emit("end");
        return new Promise<never>(() => {});
      }
      return work();
    };
    const model = make(
      Object.defineProperty(faulty, "value", {
        get: () => (own.fault === "poison" ? NaN : own.fault === "infinity" ? -Infinity : null),
      }) as Breakable,
    );
    const abandon = async (): Promise<void> => {
      abandoned++;
      if (own.fault === "hang") await hang();
    };
    return Object.assign(model, { lost, abandon });
  }

  return {
    start,
    break(fault) {
      present.fault = fault;
    },
    nextStart(way) {
      next = way;
    },
    neverStart() {
      dead = true;
    },
    get starts() {
      return starts;
    },
    get abandoned() {
      return abandoned;
    },
    release() {
      for (const resolve of hanging.splice(0)) resolve();
    },
  };
}

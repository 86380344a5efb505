import type { Timers } from "../ports/clock.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Health } from "../ports/health.ts";

/** Something that runs apart from us and may be lost. */
export interface Running {
  /** Resolves when it has failed or ended, with why. */
  readonly lost: Promise<Error>;
  close(): Promise<void>;
  /** Gives it up wherever it is, a hang included, without waiting. Resolves when it has really ended. */
  abandon(): Promise<void>;
}

/** How long to wait for something that runs, and how it is started again. */
export interface Supervision {
  readonly timers: Timers;
  /** Uniform numbers in [0, 1), for the jitter. */
  readonly random: () => number;
  /** The longest time without a sign of life while it has been asked something, milliseconds; Infinity waits for ever. */
  readonly timeoutMs: number;
  /** Told of each change: a loss, a new start, a return. */
  readonly onChange?: ((health: Health) => void) | undefined;
  /** Told how many questions an instance has not answered yet, whenever their number changes. */
  readonly onQuestions?: ((id: string, open: number) => void) | undefined;
}

export interface SupervisorOptions<R extends Running> extends Supervision {
  /** A member's id, or what else it is: for messages. */
  readonly id: string;
  /** Starts one. When the signal aborts, it is to be abandoned and the promise to be rejected. */
  readonly start: (signal: AbortSignal) => Promise<R>;
}

/** One that was started. When it is lost, its successor knows nothing of it. */
export interface Instance<R> {
  readonly running: R;
  /**
   * Asks it something. It answers questions in their order; the oldest open one may be the oldest for the time-out.
   * @param ask is handed `alive`, to call when a part is done and the rest is queued behind the other questions
   * @param fault what makes an answer useless, or null
   * @throws GatewayError members_lost, once and for all, when it fails, gives a useless answer or is out of time
   */
  ask<T>(ask: (alive: () => void) => Promise<T>, fault: (answer: T) => string | null): Promise<T>;
}

/** Keeps one instance running: whoever is lost is given up, and another is started after a pause that grows. */
export interface Supervisor<R extends Running> {
  readonly health: Health;
  /** @throws GatewayError members_lost when there is none, with why and until when */
  current(): Instance<R>;
  /** The same, but waits for the next start, for the time-out at most. */
  whenUp(): Promise<Instance<R>>;
  close(): Promise<void>;
}

/** The pause before the n-th start in a row is BASE · 2^(n − 1), at most LONGEST, times a factor from ½ to 1. */
const BASE_MS = 1000;
const LONGEST_MS = 60_000;
/** A start loads a graph of hundreds of megabytes: it may take so many time-outs. */
const START_TIMEOUTS = 10;
/** Ones that were given up and still hang hold their memory: with so many no other is started. */
const MOST_ABANDONED = 2;

type State<R> =
  | { readonly kind: "up"; readonly instance: Instance<R>; readonly since: number }
  | { readonly kind: "starting"; readonly reason: string }
  | { readonly kind: "down"; readonly reason: string; readonly restartsAt: number }
  | { readonly kind: "closed" };

/** Resolves when the first instance runs. @throws what `start` throws, if that fails */
export async function createSupervisor<R extends Running>(
  options: SupervisorOptions<R>,
): Promise<Supervisor<R>> {
  const { id, timers, random, timeoutMs, onChange } = options;
  let state: State<R> = { kind: "starting", reason: "it has not been started" };
  let failures = 0;
  let abandoned = 0;
  const waiting: (() => void)[] = [];
  let cancelNext = nothing;

  function enter(next: State<R>): void {
    state = next;
    if (next.kind !== "starting") for (const wake of waiting.splice(0)) wake();
    if (next.kind !== "closed") onChange?.(health());
  }

  function health(): Health {
    if (state.kind === "up") return { id, state: "up", reason: null, restartsAt: null };
    if (state.kind === "down")
      return { id, state: "down", reason: state.reason, restartsAt: state.restartsAt };
    if (state.kind === "starting") return { id, state: "starting", reason: state.reason, restartsAt: null };
    return { id, state: "down", reason: "it was closed", restartsAt: null };
  }

  async function begin(): Promise<void> {
    const controller = new AbortController();
    const limitMs = timeoutMs * START_TIMEOUTS;
    const late = afterAtMost(timers, limitMs, () =>
      controller.abort(new Error(`it did not start within ${limitMs} ms`)),
    );
    cancelNext = () => controller.abort(new Error("it was closed"));
    const starting = options.start(controller.signal);
    try {
      const running = await orAborted(starting, controller.signal);
      controller.signal.throwIfAborted();
      const instance = watch(id, running, options, (reason) => lose(running, instance, reason));
      enter({ kind: "up", instance, since: timers.monotonic() });
    } catch (error) {
      if (controller.signal.aborted) void starting.then(giveUp, nothing);
      throw error;
    } finally {
      late();
      cancelNext = nothing;
    }
  }

  function lose(running: R, instance: Instance<R>, reason: string): void {
    // What is closed ends in its own time.
    if (state.kind !== "up" || state.instance !== instance) return;
    giveUp(running);
    if (timers.monotonic() - state.since > LONGEST_MS) failures = 0;
    pause(reason);
  }

  function giveUp(running: R): void {
    abandoned++;
    void running.abandon().then(() => abandoned--);
  }

  /** @param note what else there is to say while it is down */
  function pause(reason: string, note = ""): void {
    failures++;
    const delayMs = Math.min(LONGEST_MS, BASE_MS * 2 ** (failures - 1)) * (0.5 + 0.5 * random());
    enter({ kind: "down", reason: reason + note, restartsAt: timers.now() + delayMs });
    cancelNext = timers.after(delayMs, () => void again(reason));
  }

  async function again(reason: string): Promise<void> {
    if (abandoned >= MOST_ABANDONED)
      return pause(reason, `; ${abandoned} that were given up before still compute and hold their memory`);
    enter({ kind: "starting", reason });
    try {
      await begin();
    } catch (error) {
      if (state.kind !== "closed") pause(reasonOf(id, error));
    }
  }

  function current(): Instance<R> {
    if (state.kind === "up") return state.instance;
    const { reason, restartsAt } = health();
    const when = restartsAt === null ? "" : `; it is started again at ${new Date(restartsAt).toISOString()}`;
    throw new GatewayError("members_lost", `${id} cannot be asked: ${reason}${when}`);
  }

  await begin();
  return {
    get health() {
      return health();
    },
    current,
    async whenUp() {
      const until = timers.monotonic() + Math.min(timeoutMs, LONGEST_MS);
      for (;;) {
        if (state.kind === "up" || state.kind === "closed") return current();
        const leftMs = until - timers.monotonic();
        if (leftMs <= 0) return current();
        await new Promise<void>((resolve) => {
          const cancel = afterAtMost(timers, leftMs, resolve);
          waiting.push(() => (cancel(), resolve()));
        });
      }
    },
    async close() {
      const last = state;
      if (last.kind === "closed") return;
      enter({ kind: "closed" });
      cancelNext();
      if (last.kind !== "up") return;
      const { running } = last.instance;
      let ended = false;
      const closing = running.close().then(() => (ended = true));
      await new Promise<void>((resolve) => {
        const cancel = afterAtMost(timers, timeoutMs, resolve);
        void closing.finally(() => (cancel(), resolve()));
      });
      if (!ended) void running.abandon();
    },
  };
}

interface OpenQuestion {
  reject(error: GatewayError): void;
}

/** An instance whose questions are timed. @param lose told once */
function watch<R extends Running>(
  id: string,
  running: R,
  { timers, timeoutMs, onQuestions = nothing }: Supervision,
  lose: (reason: string) => void,
): Instance<R> {
  /** The oldest first. */
  const open = new Set<OpenQuestion>();
  let loss: GatewayError | null = null;
  let cancel = nothing;

  function fail(reason: string): GatewayError {
    if (loss !== null) return loss;
    loss = new GatewayError("members_lost", `${id}: ${reason}`);
    cancel();
    for (const { reject } of open) reject(loss);
    open.clear();
    onQuestions(id, 0);
    lose(reason);
    return loss;
  }

  /** Call after a change of the oldest. */
  function time(): void {
    cancel();
    cancel =
      open.size === 0
        ? nothing
        : afterAtMost(timers, timeoutMs, () => void fail(`no answer within ${timeoutMs} ms`));
  }

  function isOldest(question: OpenQuestion): boolean {
    return open.values().next().value === question;
  }

  void running.lost.then((error) => fail(reasonOf(id, error)));
  return {
    running,
    ask: (ask, fault) =>
      new Promise((resolve, reject) => {
        if (loss !== null) return reject(loss);
        const question: OpenQuestion = { reject };
        const leave = (): boolean => {
          const oldest = isOldest(question);
          if (!open.delete(question)) return false;
          if (oldest) time();
          onQuestions(id, open.size);
          return true;
        };
        open.add(question);
        if (open.size === 1) time();
        onQuestions(id, open.size);
        const alive = (): void => {
          const oldest = isOldest(question);
          if (!open.delete(question)) return;
          open.add(question);
          if (oldest) time();
        };
        ask(alive).then(
          (answer) => {
            if (!leave()) return;
            const useless = fault(answer);
            if (useless === null) resolve(answer);
            else reject(fail(useless));
          },
          (error: unknown) => {
            if (!leave()) return;
            reject(isLoss(error) ? fail(reasonOf(id, error)) : error);
          },
        );
      }),
  };
}

/** Whether an answer failed for a reason of whoever answers, not of who asked. */
function isLoss(error: unknown): error is GatewayError {
  return error instanceof GatewayError && (error.code === "members_lost" || error.code === "internal");
}

function nothing(): void {}

/** Infinity, or what no timer can hold, is never. */
function afterAtMost(timers: Timers, delayMs: number, task: () => void): () => void {
  return delayMs < 2 ** 31 ? timers.after(delayMs, task) : nothing;
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}

/** Its message without the name, which is put before it where it is told. */
function reasonOf(id: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(`${id}: `) ? message.slice(id.length + 2) : message;
}

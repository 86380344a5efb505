/*
 * A process that ends tears its worker threads down wherever they are. onnxruntime's binding aborts the whole
 * process when that happens within a computation. So the main thread, about to end, lets no new computation begin and
 * waits for the one in progress.
 */

/** Two flags shared by the main thread and one worker. */
export type ComputeGate = Int32Array<SharedArrayBuffer>;

const COMPUTING = 0;
const ENDING = 1;

/** How often a computation that nobody waits for any more is looked at. */
const POLL_MS = 100;

export function createComputeGate(): ComputeGate {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** On the worker: computes. Never settles when the process is ending. */
export async function computeWithin<T>(gate: ComputeGate, compute: () => Promise<T>): Promise<T> {
  // First this flag, then a look at the other; the main thread does the reverse, so one of the two sees the other.
  Atomics.store(gate, COMPUTING, 1);
  try {
    if (Atomics.load(gate, ENDING) === 0) return await compute();
  } finally {
    Atomics.store(gate, COMPUTING, 0);
    Atomics.notify(gate, COMPUTING);
  }
  return new Promise<never>(() => {});
}

/** On the main thread, for good: waits for the computation in progress, `patienceMs` at most. Blocks. */
export function closeGate(gate: ComputeGate, patienceMs: number): void {
  Atomics.store(gate, ENDING, 1);
  Atomics.wait(gate, COMPUTING, 1, patienceMs);
}

/**
 * On the main thread, for good: lets no new computation begin, and resolves when none is in progress: a worker may then
 * be terminated. A computation that hangs is waited for without holding the process open.
 */
export async function gateClosed(gate: ComputeGate): Promise<void> {
  Atomics.store(gate, ENDING, 1);
  while (Atomics.load(gate, COMPUTING) === 1) {
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS).unref();
    });
  }
}

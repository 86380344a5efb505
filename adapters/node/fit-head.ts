import { Worker } from "node:worker_threads";
import type { ProbeHead, ProbeTraining } from "../../src/ensemble/probe-head.ts";
import type { FitHeadOptions } from "../../src/ensemble/probes.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { FromProbeWorker } from "./probe-worker.ts";

const PROBE_WORKER = new URL("./probe-worker.js", import.meta.url);

/**
 * `fitProbeHead` on a thread of its own, so that the gateway goes on answering meanwhile.
 * @throws RangeError as `fitProbeHead` does
 * @throws GatewayError cancelled
 */
export async function fitHeadInWorker(
  training: ProbeTraining,
  { onProgress, signal }: FitHeadOptions,
): Promise<ProbeHead> {
  throwIfCancelled(signal);
  const worker = new Worker(PROBE_WORKER, { workerData: training, name: "probe" });
  const cancel = (): void => void worker.terminate();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await new Promise<ProbeHead>((resolve, reject) => {
      worker.on("message", (message: FromProbeWorker) => {
        if (message.kind === "progress") onProgress(message.share);
        else if (message.kind === "head") resolve(message.head);
        else reject(new RangeError(message.message));
      });
      worker.once("error", reject);
      worker.once("exit", (code) => {
        if (signal?.aborted) reject(cancelled(signal));
        else reject(new Error(`the probe's thread ended with code ${code} before its head was learned`));
      });
    });
  } finally {
    signal?.removeEventListener("abort", cancel);
    await worker.terminate();
  }
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

function cancelled({ reason }: AbortSignal): GatewayError {
  return new GatewayError("cancelled", "the fit of the probe was cancelled", { cause: reason });
}

import { parentPort, workerData } from "node:worker_threads";
import { fitProbeHead, type ProbeHead, type ProbeTraining } from "../../src/ensemble/probe-head.ts";

/** What the thread tells: how far it is, and at last the head, or what was wrong with the examples. */
export type FromProbeWorker =
  | { readonly kind: "progress"; readonly share: number }
  | { readonly kind: "head"; readonly head: ProbeHead }
  | { readonly kind: "refused"; readonly message: string };

/** Workers have no origins. */
const tell = (message: FromProbeWorker): void => parentPort?.postMessage(message, []);

try {
  const head = fitProbeHead(workerData as ProbeTraining, (share) => tell({ kind: "progress", share }));
  tell({ kind: "head", head });
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  tell({ kind: "refused", message: error.message });
}

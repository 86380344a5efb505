import { createWorker } from "../../adapters/cloudflare/create-worker.ts";
import { createEngine } from "../../src/ensemble/engine.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";

export default createWorker({
  openEngine: (log) =>
    createEngine({ ensemble: createScriptedEnsemble(), log, clock: systemClock, keepText: false }),
  readiness: () => ({ ready: true }),
});

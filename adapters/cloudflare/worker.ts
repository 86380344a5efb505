import type { Engine } from "../../src/ports/engine.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import { createWorker } from "./create-worker.ts";

// A Worker cannot hold weight files, so without members that run elsewhere there is nothing to answer with.
const reason = "no members are configured on this deployment, and a Worker runs none itself";

const memberless: Engine = {
  models: () => [],
  answer() {
    throw new GatewayError("not_ready", `The gateway cannot answer: ${reason}.`);
  },
};

export default createWorker({
  openEngine: () => memberless,
  readiness: () => ({ ready: false, reason }),
});

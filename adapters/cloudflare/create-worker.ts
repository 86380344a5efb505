import type { D1Database } from "@cloudflare/workers-types";
import { createGateway, type Gateway } from "../../src/gateway/app.ts";
import type { Readiness } from "../../src/gateway/health.ts";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { Engine } from "../../src/ports/engine.ts";
import { createD1AgreementLog } from "../sqlite/d1.ts";

/** What `wrangler.toml` and the deployment's secrets bind. */
export interface WorkerBindings {
  readonly DB: D1Database;
  /** When set, every path under /v1 asks for it as a bearer token. */
  readonly CONCORD_API_KEY?: string;
}

export interface WorkerDependencies {
  /** Called once per isolate, at its first request. */
  readonly openEngine: (log: AgreementLog) => Engine;
  readonly readiness: Readiness;
}

export interface Worker {
  fetch(request: Request, bindings: WorkerBindings): Response | Promise<Response>;
}

/** The gateway as a Worker: the engine comes from `deps`, the agreement log lies in D1. */
export function createWorker({ openEngine, readiness }: WorkerDependencies): Worker {
  let gateway: Gateway | null = null;
  const open = (bindings: WorkerBindings): Gateway =>
    createGateway({
      engine: openEngine(createD1AgreementLog(bindings.DB)),
      clock: systemClock,
      readiness,
      apiKey: bindings.CONCORD_API_KEY || undefined,
    });

  return {
    fetch: (request, bindings) => (gateway ??= open(bindings)).fetch(request, bindings),
  };
}

import { createMiddleware } from "hono/factory";
import { GatewayError } from "../ports/gateway-error.ts";
import type { GatewayContext, GatewayEnvironment } from "./environment.ts";

/** Whether requests can be answered, and if not, why. */
export type Readiness = () => { readonly ready: true } | { readonly ready: false; readonly reason: string };

/** `GET /healthz`: the process is alive. */
export const health = (c: GatewayContext): Response => c.json({ status: "ok" });

/** `GET /readyz`: send requests here, or 503 with the reason not to. */
export const ready =
  (readiness: Readiness) =>
  (c: GatewayContext): Response => {
    refuseUnlessReady(readiness);
    return c.json({ status: "ready" });
  };

/** Before a question is read: whoever cannot answer says so, whatever the model's name. */
export const requireReady = (readiness: Readiness) =>
  createMiddleware<GatewayEnvironment>(async (_, next) => {
    refuseUnlessReady(readiness);
    await next();
  });

function refuseUnlessReady(readiness: Readiness): void {
  const state = readiness();
  if (!state.ready) throw new GatewayError("not_ready", `The gateway is not ready: ${state.reason}`);
}

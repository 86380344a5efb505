import { createMiddleware } from "hono/factory";
import { GatewayError } from "../ports/gateway-error.ts";
import type { EnsembleHealth } from "../ports/health.ts";
import type { GatewayContext, GatewayEnvironment } from "./environment.ts";

/** Whether requests can be answered, and if not, why. */
export type Readiness = () => { readonly ready: true } | { readonly ready: false; readonly reason: string };

/** `GET /healthz`: the process is alive. */
export const health = (c: GatewayContext): Response => c.json({ status: "ok" });

/** `GET /readyz`: send requests here, with how each member is, or 503 with the reason not to. */
export const ready =
  (readiness: Readiness, healthOf: () => EnsembleHealth | null) =>
  (c: GatewayContext): Response => {
    refuseUnlessReady(readiness);
    const found = healthOf();
    if (found === null) return c.json({ status: "ready" });
    const { quorum, members, decoder } = found;
    const up = members.filter(({ state }) => state === "up").length;
    if (up < quorum || decoder.state !== "up") {
      const needed = `${up} of ${members.length} members can be asked and ${quorum} are needed`;
      throw new GatewayError(
        "not_ready",
        `The gateway is not ready: ${[needed, ...faults(found)].join("; ")}`,
      );
    }
    const shown = members.map((member) => ({
      id: member.id,
      state: member.state,
      ...(member.reason === null ? {} : { reason: member.reason }),
      ...(member.restartsAt === null ? {} : { restarts_at: new Date(member.restartsAt).toISOString() }),
    }));
    return c.json({ status: up === members.length ? "ready" : "degraded", quorum, members: shown });
  };

function faults({ members, decoder }: EnsembleHealth): string[] {
  return [...members, decoder].flatMap(({ id, state, reason, restartsAt }) => {
    if (state === "up") return [];
    const when = restartsAt === null ? "" : `, starts again at ${new Date(restartsAt).toISOString()}`;
    return [`${id} is ${state} (${reason ?? "unknown"})${when}`];
  });
}

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

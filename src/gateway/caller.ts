import type { Caller } from "../ports/engine.ts";
import type { GatewayContext } from "./environment.ts";

/** Who sends a request. OpenAI's `user` changes no answer but what an experiment makes of it, so that any value may stand there. */
export function callerOf(c: GatewayContext, body: Readonly<Record<string, unknown>>): Caller {
  const { user } = body;
  return {
    user: typeof user === "string" ? user : null,
    header: (name) => c.req.header(name) ?? null,
  };
}

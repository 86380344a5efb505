import { createGateway, type Gateway, type GatewayDependencies } from "../../src/gateway/app.ts";
import { createScriptedEngine } from "../scripted-engine.ts";

export const NOW_MS = 1_750_000_000_500;

/** A gateway whose clock stands still and whose ids count up: `chatcmpl-1`, `chatcmpl-2`. */
export function testGateway(deps: Partial<GatewayDependencies> = {}): Gateway {
  let requests = 0;
  return createGateway({
    engine: createScriptedEngine(),
    clock: { now: () => NOW_MS, monotonic: () => 0 },
    readiness: () => ({ ready: true }),
    newRequestId: () => String((requests += 1)),
    onInternalError: () => {},
    ...deps,
  });
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Posts a body: an object as JSON, a string as it is. */
export async function post(
  app: Gateway,
  path: string,
  body: unknown,
  headers: Record<string, string> = { "content-type": "application/json" },
): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await app.request(path, { method: "POST", headers, body: text });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** The `data:` lines of a stream of events, parsed; `[DONE]` stays a text. */
export function eventsOf(text: string): unknown[] {
  return text
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => {
      if (!event.startsWith("data: ")) throw new Error(`not a data event: ${event}`);
      const data = event.slice("data: ".length);
      return data === "[DONE]" ? data : JSON.parse(data);
    });
}

export interface ErrorShape {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

export const errorOf = (text: string): ErrorShape["error"] => (JSON.parse(text) as ErrorShape).error;

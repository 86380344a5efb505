import { streamSSE } from "hono/streaming";
import { GatewayError } from "../ports/gateway-error.ts";
import type { AnswerSource, GatewayContext } from "./environment.ts";
import { asGatewayError, errorBody } from "./error-response.ts";

const CLIENT_GONE = new GatewayError("cancelled", "the client went away before the stream was over");

/** Aborts when the client goes away. */
export function disconnection(c: GatewayContext): AbortController {
  const abort = new AbortController();
  const { signal } = c.req.raw;
  if (signal.aborted) abort.abort();
  else signal.addEventListener("abort", () => abort.abort(), { once: true });
  return abort;
}

/**
 * Sends each chunk as one `data:` event and `[DONE]` after the last.
 * The first chunk is awaited before the headers leave, so that a request which fails at once gets its HTTP status.
 * A later failure is an event with OpenAI's error object, and the stream ends without `[DONE]`.
 */
export async function streamChunks(
  c: GatewayContext,
  chunks: AsyncGenerator<unknown>,
  abort: AbortController,
  reportFailure: AnswerSource["reportFailure"],
): Promise<Response> {
  const first = await chunks.next();
  c.header("x-accel-buffering", "no");
  const release = c.get("observation").hold();
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => abort.abort());
    let failure: unknown;
    try {
      for (let step = first; step.done !== true; step = await chunks.next()) {
        if (abort.signal.aborted) {
          failure = CLIENT_GONE;
          return;
        }
        await stream.writeSSE({ data: JSON.stringify(step.value) });
      }
      await stream.writeSSE({ data: "[DONE]" });
    } catch (error) {
      failure = error;
      reportFailure(error, c.get("requestId"));
      await stream.writeSSE({ data: JSON.stringify(errorBody(asGatewayError(error))) });
    } finally {
      await chunks.return(undefined);
      release(failure);
    }
  });
}

import { streamSSE } from "hono/streaming";
import type { AnswerSource, GatewayContext } from "./environment.ts";
import { asGatewayError, errorBody } from "./error-response.ts";

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
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => abort.abort());
    try {
      for (let step = first; step.done !== true; step = await chunks.next()) {
        if (abort.signal.aborted) return;
        await stream.writeSSE({ data: JSON.stringify(step.value) });
      }
      await stream.writeSSE({ data: "[DONE]" });
    } catch (error) {
      reportFailure(error, c.get("requestId"));
      await stream.writeSSE({ data: JSON.stringify(errorBody(asGatewayError(error))) });
    } finally {
      await chunks.return(undefined);
    }
  });
}

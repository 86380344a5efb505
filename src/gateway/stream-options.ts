import { GatewayError } from "../ports/gateway-error.ts";

/** @throws GatewayError invalid_request when there are options for a stream and no stream, as OpenAI does */
export function requireStreamForOptions(request: {
  readonly stream: boolean;
  readonly stream_options?: unknown;
}): void {
  if (request.stream || request.stream_options === undefined) return;
  const message = "stream_options: expected stream to be true beside it. Set stream, or leave it out.";
  throw new GatewayError("invalid_request", message, { param: "stream_options" });
}

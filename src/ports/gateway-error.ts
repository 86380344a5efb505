/** Every failure that a client may see. One place (`gateway/error-response.ts`) maps a code to an HTTP status. */
export type GatewayErrorCode =
  | "invalid_request"
  | "unknown_model"
  | "context_length_exceeded"
  | "payload_too_large"
  | "unauthorized"
  | "not_found"
  | "conflict"
  | "method_not_allowed"
  | "unsupported"
  | "cancelled"
  | "members_lost"
  | "not_ready"
  | "internal";

export interface GatewayErrorOptions {
  /** The request field at fault, as OpenAI's `param`: `"messages[0].content"`. */
  readonly param?: string;
  readonly cause?: unknown;
}

/** The one error type that crosses rooms. Its message says what was expected, what came and what to do. */
export class GatewayError extends Error {
  readonly code: GatewayErrorCode;
  readonly param: string | null;

  constructor(code: GatewayErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "GatewayError";
    this.code = code;
    this.param = options.param ?? null;
  }
}

import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { GatewayError, type GatewayErrorCode } from "../ports/gateway-error.ts";

/** OpenAI's error object. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

interface Rendering {
  readonly status: ContentfulStatusCode;
  readonly type: string;
  /** Where OpenAI has a code for the case it is OpenAI's, so that clients which branch on it do. */
  readonly code: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const refused = (status: ContentfulStatusCode, code: string): Rendering => ({
  status,
  type: "invalid_request_error",
  code,
});
const failed = (status: ContentfulStatusCode, code: string): Rendering => ({
  status,
  type: "server_error",
  code,
});

const renderings: Readonly<Record<GatewayErrorCode, Rendering>> = {
  invalid_request: refused(400, "invalid_request"),
  unknown_model: refused(404, "model_not_found"),
  context_length_exceeded: refused(400, "context_length_exceeded"),
  payload_too_large: refused(413, "payload_too_large"),
  unauthorized: { ...refused(401, "invalid_api_key"), headers: { "www-authenticate": "Bearer" } },
  not_found: refused(404, "not_found"),
  conflict: refused(409, "conflict"),
  method_not_allowed: refused(405, "method_not_allowed"),
  unsupported: refused(400, "unsupported_parameter"),
  // A client that went away reads nothing; one that still reads was cut off by a server that stops.
  cancelled: failed(503, "cancelled"),
  members_lost: { ...failed(503, "members_lost"), headers: { "retry-after": "5" } },
  not_ready: { ...failed(503, "not_ready"), headers: { "retry-after": "5" } },
  internal: failed(500, "internal_error"),
};

/** Anything thrown, as something a client may see: an unforeseen error says nothing of its inside. */
export function asGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const message =
    "The gateway failed on this request. Try again, and report the x-request-id if it happens again.";
  return new GatewayError("internal", message, { cause: error });
}

export function errorBody(error: GatewayError): ErrorBody {
  const { type, code } = renderings[error.code];
  return { error: { message: error.message, type, param: error.param, code } };
}

/** The answer to a request that failed with `error`, for a door that has no Hono context. */
export function errorResponse(error: GatewayError): Response {
  const { status, headers } = renderings[error.code];
  return Response.json(errorBody(error), { status, ...(headers === undefined ? {} : { headers }) });
}

/** The same, with the headers that the context holds already. */
export function answerWithError(c: Context, error: GatewayError): Response {
  const { status, headers } = renderings[error.code];
  return c.json(errorBody(error), status, { ...headers });
}

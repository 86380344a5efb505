import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { GatewayError } from "../ports/gateway-error.ts";
import { describe } from "./invalid-field.ts";

/** Several times what OpenAI and vLLM know; a body of a million names is not worth checking name by name. */
const MOST_FIELDS = 256;

/**
 * Refuses a body above `maxBytes`, whether it announces its length or comes in chunks. Where the length is announced the
 * body is left alone: asking for it makes Node build a request and a stream that nobody reads.
 */
export function limitBody(maxBytes: number): MiddlewareHandler {
  const refuse = (): never => {
    const message = `The body is too large: expected at most ${maxBytes} bytes. Send a shorter prompt or fewer prompts at once.`;
    throw new GatewayError("payload_too_large", message);
  };
  const counting = bodyLimit({ maxSize: maxBytes, onError: refuse });
  return async (c, next) => {
    const length = c.req.header("content-length") ?? "";
    const announced = /^\d+$/.test(length) && c.req.header("transfer-encoding") === undefined;
    if (!announced) return counting(c, next);
    return Number(length) > maxBytes ? refuse() : next();
  };
}

/**
 * The body as a JSON object, whatever the content type says. Top-level nulls are left out, unless they are to be kept: to
 * OpenAI they mean "not given".
 * @throws GatewayError invalid_request | cancelled
 */
export async function readJsonObject(c: Context, nulls?: "keep nulls"): Promise<Record<string, unknown>> {
  return objectOf(decodeUtf8(await readBytes(c)), nulls);
}

/** The same, of a body that may be left out: then without fields. */
export async function readOptionalJsonObject(c: Context): Promise<Record<string, unknown>> {
  const body = decodeUtf8(await readBytes(c));
  return body === "" ? {} : objectOf(body);
}

function objectOf(body: string, nulls?: "keep nulls"): Record<string, unknown> {
  const value = parseJson(body);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new GatewayError("invalid_request", `The body: expected a JSON object, got ${describe(value)}.`);
  }
  const fields = Object.entries(value);
  if (fields.length > MOST_FIELDS) {
    const message = `The body: expected an object of at most ${MOST_FIELDS} fields, got ${fields.length}.`;
    throw new GatewayError("invalid_request", message);
  }
  return Object.fromEntries(fields.filter(([, field]) => nulls !== undefined || field !== null));
}

async function readBytes(c: Context): Promise<ArrayBuffer> {
  try {
    return await c.req.arrayBuffer();
  } catch (cause) {
    throw new GatewayError("cancelled", "The connection ended before the whole body had come.", { cause });
  }
}

/** One for all: each holds memory outside the heap, which is freed late. */
const utf8 = new TextDecoder("utf-8", { fatal: true });

function decodeUtf8(bytes: ArrayBuffer): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    const message = "The body is not valid UTF-8: expected a JSON object in UTF-8.";
    throw new GatewayError("invalid_request", message, { cause });
  }
}

function parseJson(text: string): unknown {
  if (text.trim() === "") {
    throw new GatewayError("invalid_request", "The body is empty: expected a JSON object.");
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("invalid_request", `The body is not valid JSON: ${reason}`, { cause });
  }
}

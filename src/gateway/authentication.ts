import { createMiddleware } from "hono/factory";
import { timingSafeEqual } from "hono/utils/buffer";
import { GatewayError } from "../ports/gateway-error.ts";

const bearer = /^bearer +(?<key>\S+) *$/i;

/** Lets only requests with `Authorization: Bearer <apiKey>` pass; the keys are compared in constant time. */
export const requireApiKey = (apiKey: string) =>
  createMiddleware(async (c, next) => {
    const key = bearer.exec(c.req.header("authorization") ?? "")?.groups?.["key"];
    if (key === undefined) {
      throw new GatewayError(
        "unauthorized",
        "The API key is missing: expected the header Authorization: Bearer KEY.",
      );
    }
    if (!(await timingSafeEqual(key, apiKey))) {
      throw new GatewayError("unauthorized", "The API key is not the one this gateway was started with.");
    }
    await next();
  });

import type { GatewayContext } from "./environment.ts";

/** All metrics as text, and which format it is. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

/** `GET /metrics`, for Prometheus. */
export const metrics =
  (read: () => Promise<MetricsText>) =>
  async (c: GatewayContext): Promise<Response> => {
    const { contentType, text } = await read();
    return c.body(text, 200, { "content-type": contentType });
  };

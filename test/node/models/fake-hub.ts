import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Respond = (response: ServerResponse, request: IncomingMessage, count: number) => void;

export interface FakeHub {
  /** Its address, for HF_ENDPOINT. */
  readonly url: string;
  /** The requests so far, oldest first. */
  readonly requests: readonly IncomingMessage[];
  close(): Promise<void>;
}

/** A hub on the loopback. `respond` gets each request with its number, from 0. */
export async function startFakeHub(respond: Respond): Promise<FakeHub> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    respond(response, request, requests.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The address of a hub that is not there. */
export async function deadHub(): Promise<string> {
  const hub = await startFakeHub(() => {});
  await hub.close();
  return hub.url;
}

export interface ServeOptions {
  readonly etag?: string;
  /** Send this many bytes of the answer, then do as `ending` says. */
  readonly stopAfter?: number;
  /** `cut` breaks the connection; `hold` leaves it open and silent. */
  readonly ending?: "cut" | "hold";
}

/** Answers as a file server does, ranges and If-Range included. */
export function serveBytes(
  contents: Uint8Array,
  response: ServerResponse,
  request: IncomingMessage,
  options: ServeOptions = {},
): void {
  const { etag = '"v1"', stopAfter, ending } = options;
  const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
  const condition = request.headers["if-range"];
  const start = asked !== undefined && (condition === undefined || condition === etag) ? Number(asked) : 0;
  const body = contents.subarray(start);
  response.setHeader("etag", etag);
  response.setHeader("content-length", body.length);
  if (start > 0)
    response.setHeader("content-range", `bytes ${start}-${contents.length - 1}/${contents.length}`);
  response.statusCode = start > 0 ? 206 : 200;
  if (stopAfter === undefined) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, stopAfter), () => {
    // What was written has to arrive before the connection goes.
    if (ending === "cut") setTimeout(() => response.destroy(), 50);
  });
}

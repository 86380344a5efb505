import { createServer, type Server } from "node:http";
import { isIPv6, type AddressInfo } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { asGatewayError, errorResponse } from "../../src/gateway/error-response.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";

/** Whatever answers requests: a Hono app. */
export interface FetchApp {
  readonly fetch: (request: Request, environment: object) => Response | Promise<Response>;
}

export interface ServerOptions {
  readonly app: FetchApp;
  /** A name or address of this machine; `127.0.0.1` keeps other machines out. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** How long `close` lets running answers go on, milliseconds. Default 10 s. */
  readonly graceMs?: number | undefined;
}

export interface RunningServer {
  /** Where a client on this machine reaches it: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Takes no more connections, lets running answers finish for the grace time, then cuts them off (which aborts them). */
  close(): Promise<void>;
}

const GRACE_MS = 10_000;
/** A client that opens a connection and sends nothing holds it this long at most. */
const HEADERS_TIMEOUT_MS = 15_000;
/** For the whole request to come in; an answer may take as long as it needs. */
const REQUEST_TIMEOUT_MS = 120_000;
/** Above the idle time of common proxies, so that they and not this server close first. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;

/** Serves `app` over HTTP. @throws Error naming host and port when they cannot be had */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { app, host, port, graceMs = GRACE_MS } = options;
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    },
    getRequestListener((request, environment) => app.fetch(request, environment), {
      errorHandler: (error) => errorResponse(asRefusal(error)),
    }),
  );
  const address = await listen(server, host, port);
  let closed: Promise<void> | null = null;
  return {
    url: `http://${reachableHost(address)}:${address.port}`,
    close: () => (closed ??= closeGracefully(server, graceMs)),
  };
}

/** A request whose URL or Host header no Request can be made from never reaches the app. */
function asRefusal(error: unknown): GatewayError {
  if (!(error instanceof RequestError)) return asGatewayError(error);
  return new GatewayError("invalid_request", `The request line or the Host header: ${error.message}.`, {
    cause: error,
  });
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen({ host, port }, () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("an HTTP server without a port");
      resolve(address);
    });
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  return new Error(`Cannot listen on ${host}, port ${port}: ${reasonOf(error)}`, { cause: error });
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "EADDRINUSE":
      return "another program has it. Stop that program or choose another port; port 0 takes any free one.";
    case "EACCES":
      return "this user may not. Choose a port above 1023.";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "this machine has no such address. Use 127.0.0.1, or 0.0.0.0 to let other machines in.";
    default:
      return error.message;
  }
}

function reachableHost({ address }: AddressInfo): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  if (address === "::") return "[::1]";
  return isIPv6(address) ? `[${address}]` : address;
}

function closeGracefully(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A connection kept alive after its answer would hold the server open.
    const sweep = setInterval(() => server.closeIdleConnections(), 50);
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}

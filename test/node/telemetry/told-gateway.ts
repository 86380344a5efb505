import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { startServer } from "../../../adapters/node/server.ts";
import type { LogLevel } from "../../../adapters/node/telemetry/log.ts";
import { openTelemetry, type OpenTelemetry } from "../../../adapters/node/telemetry/open-telemetry.ts";
import { createEngine } from "../../../src/ensemble/engine.ts";
import { createGateway } from "../../../src/gateway/app.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import type { Engine } from "../../../src/ports/engine.ts";
import type { Telemetry } from "../../../src/ports/telemetry.ts";
import { createScriptedEmbedder } from "../../scripted-embedder.ts";
import { createScriptedEnsemble } from "../../scripted-ensemble.ts";

export interface ToldGatewayOptions {
  readonly engine?: ((telemetry: Telemetry) => Engine) | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly level?: LogLevel | undefined;
  readonly apiKey?: string | undefined;
  /** Whether the log goes to a terminal. */
  readonly terminal?: boolean | undefined;
}

export interface ToldGateway extends Pick<OpenTelemetry, "telemetry" | "log"> {
  readonly url: string;
  /** Everything that was logged so far. */
  logged(): string;
  metrics(): Promise<string>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Stops the server and sends what is left of the traces. */
  close(): Promise<void>;
}

/** Two toy members behind a real server, with all that is told of them. */
export async function startToldGateway(options: ToldGatewayOptions = {}): Promise<ToldGateway> {
  let written = "";
  const stream = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      written += text;
      done();
    },
  });
  if (options.terminal) Object.assign(stream, { isTTY: true });
  let engine: Engine | null = null;
  const embedder = createScriptedEmbedder();
  const opened = await openTelemetry({
    level: options.level ?? "info",
    stream,
    version: "1.2.3",
    env: options.env ?? {},
    knownModels: () => [...(engine?.models() ?? []), ...embedder.models()].map(({ id }) => id),
  });
  const { telemetry } = opened;
  engine = options.engine?.(telemetry) ?? toyEngine(telemetry);
  const app = createGateway({
    engine,
    embedder,
    clock: systemClock,
    readiness: () => ({ ready: true }),
    telemetry,
    metrics: opened.metrics,
    apiKey: options.apiKey,
    onInternalError: (error, id) => opened.log.error({ err: error, request_id: id }, `request ${id} failed`),
  });
  const server = await startServer({ app, host: "127.0.0.1", port: 0, graceMs: 100 });
  return {
    ...opened,
    url: server.url,
    logged: () => written,
    metrics: async () => (await opened.metrics()).text,
    post: (path, body, headers = {}) =>
      fetch(`${server.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
    async close() {
      await server.close();
      await opened.close();
    },
  };
}

function toyEngine(telemetry: Telemetry): Engine {
  const log = { append: async () => {}, list: async () => [], find: async () => null, close: async () => {} };
  return createEngine({
    ensemble: createScriptedEnsemble(),
    log,
    clock: systemClock,
    keepText: false,
    telemetry,
  });
}

export const ANSWER = {
  model: "concord",
  prompt: "Hello",
  max_tokens: 4,
  seed: 1,
  logit_bias: { 257: -100 },
} as const;

export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Collector {
  readonly url: string;
  readonly received: readonly Received[];
  /** From now on it takes requests and never answers. */
  hang(): void;
  close(): Promise<void>;
}

/** A collector on this machine. */
export async function startCollector(): Promise<Collector> {
  let answers = true;
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(parts) });
      if (answers) response.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    hang: () => void (answers = false),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

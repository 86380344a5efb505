import { InvalidArgumentError, Option, type Command } from "commander";
import pc from "picocolors";
import { createGateway } from "../../../src/gateway/app.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import type { Engine } from "../../../src/ports/engine.ts";
import { GatewayError } from "../../../src/ports/gateway-error.ts";
import { interruption } from "../interruption.ts";
import { openEngine } from "../open-engine.ts";
import { createProgressBar } from "../progress-bar.ts";
import { startServer } from "../server.ts";

interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly keepText?: true;
}

export function registerServeCommand(program: Command): void {
  program
    .command("serve")
    .description("start the gateway; the first start fetches the models")
    .addOption(new Option("--host <address>", "where to listen").env("HOST").default("127.0.0.1"))
    .addOption(
      new Option("--port <number>", "0 takes any free port").env("PORT").default(8787).argParser(port),
    )
    .addOption(new Option("--keep-text", "keep prompts and answers in the log").env("CONCORD_KEEP_TEXT"))
    .addHelpText("after", "\nExample:\n  PORT=9000 concord serve --keep-text")
    .action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const signal = interruption();
  const late = createLateEngine();
  const app = createGateway({
    engine: late.engine,
    clock: systemClock,
    readiness: late.readiness,
    apiKey: process.env["CONCORD_API_KEY"] || undefined,
  });
  const server = await startServer({ app, host: options.host, port: options.port });
  let engine: Awaited<ReturnType<typeof openEngine>> | null = null;
  try {
    say(`concord listens on ${pc.bold(server.url)} and is getting ready`);
    engine = await openEngine({
      progress: createProgressBar(),
      signal,
      keepText: options.keepText === true,
    });
    late.arrive(engine);
    const names = engine.models().map((model) => model.id);
    say(`${pc.green("ready")}: ${server.url}/v1 answers as ${names.join(", ")}`);
    await aborted(signal);
    say("stopping: running answers may finish");
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await server.close();
    await engine?.close();
  }
}

/** Stands in for the engine until it has come: until then nothing is answered, and it is said why. */
function createLateEngine() {
  let arrived: Engine | null = null;
  const reason = "the models are being loaded; on a first start they are fetched before";
  const engine: Engine = {
    models: () => arrived?.models() ?? [],
    async *answer(question) {
      if (arrived === null)
        throw new GatewayError("not_ready", `Not ready yet: ${reason}. /readyz tells when.`);
      yield* arrived.answer(question);
    },
  };
  return {
    engine,
    readiness: () => (arrived === null ? { ready: false as const, reason } : { ready: true as const }),
    arrive(real: Engine): void {
      arrived = real;
    },
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) {
    throw new InvalidArgumentError("Expected a port from 0 to 65535.");
  }
  return value;
}

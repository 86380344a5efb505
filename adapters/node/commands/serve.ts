import { InvalidArgumentError, Option, type Command } from "commander";
import { createGateway, type GatewayExperiments } from "../../../src/gateway/app.ts";
import { createEmbedder } from "../../../src/ensemble/embedder.ts";
import { createProbes } from "../../../src/ensemble/probes.ts";
import type { Embedder } from "../../../src/ports/embedder.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import type { Engine } from "../../../src/ports/engine.ts";
import { GatewayError } from "../../../src/ports/gateway-error.ts";
import type { Probes } from "../../../src/ports/probes.ts";
import type { Observations } from "../../../src/ports/observations.ts";
import type { Watch } from "../../../src/watch/watch.ts";
import { readExperimentsFile } from "../experiments-file.ts";
import { fitHeadInWorker } from "../fit-head.ts";
import { interruption } from "../interruption.ts";
import { nativeVectors, openSentenceEncoders, type OpenSentenceEncoders } from "../open-sentence-encoders.ts";
import { openExperiments, type OpenExperiments } from "../open-experiments.ts";
import { MEMBER_TIMEOUT_MS, openEngine, type OpenEngine } from "../open-engine.ts";
import { MEMBER_IDS } from "../open-members.ts";
import { openRedactor } from "../open-redactor.ts";
import { openWatch, openWebhook } from "../open-watch.ts";
import { calibratedSets } from "../open-confidence.ts";
import { createProgressBar } from "../progress-bar.ts";
import { PROVIDERS, type Provider } from "../provider.ts";
import { readSavedReport } from "../saved-report.ts";
import { startServer } from "../server.ts";
import { LOG_LEVELS, logLines, type LogLevel } from "../telemetry/log.ts";
import { openTelemetry } from "../telemetry/open-telemetry.ts";
import { CONCORD_VERSION } from "../version.ts";
import { addLogOptions, retentionOf, type LogOptions } from "./log-options.ts";
import { addWatchOptions, watchChoices, type WatchOptions } from "./watch-options.ts";
import { wholeNumber } from "./whole-number.ts";

/** How long shadows may go on after the last answer. */
const SHADOWS_GRACE_MS = 10_000;

interface ServeOptions extends WatchOptions, LogOptions {
  readonly host: string;
  readonly port: number;
  readonly memberTimeoutMs: number;
  readonly quorum: number;
  readonly logLevel: LogLevel;
  readonly otlpEndpoint?: string;
  readonly experiments?: string;
  readonly prefixCache: number;
  readonly provider: Provider;
}

export function registerServeCommand(program: Command): void {
  addWatchOptions(addLogOptions(program.command("serve")))
    .description("start the gateway; the first start fetches the models")
    .addOption(new Option("--host <address>", "where to listen").env("HOST").default("127.0.0.1"))
    .addOption(
      new Option("--port <number>", "0 takes any free port").env("PORT").default(8787).argParser(port),
    )
    .addOption(
      new Option("--member-timeout-ms <number>", "a member silent for so long is given up and started again")
        .env("CONCORD_MEMBER_TIMEOUT_MS")
        .default(MEMBER_TIMEOUT_MS)
        .argParser(timeoutMs),
    )
    .addOption(
      new Option("--quorum <number>", "with fewer members left nothing is fused")
        .env("CONCORD_QUORUM")
        .default(1)
        .argParser(quorum),
    )
    .addOption(
      new Option("--log-level <level>", "requests are told at info, health checks at debug")
        .env("CONCORD_LOG_LEVEL")
        .default("info")
        .choices(LOG_LEVELS),
    )
    .addOption(
      new Option(
        "--otlp-endpoint <url>",
        "a collector that traces are sent to, such as http://127.0.0.1:4318",
      ).env("OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    .addOption(
      new Option(
        "--experiments <file>",
        "JSON: experiments, and ensembles of other maps that they compare",
      ).env("CONCORD_EXPERIMENTS"),
    )
    .addOption(
      new Option(
        "--prefix-cache <megabytes>",
        "memory for beginnings of prompts that were read, so that they are not read again; 0: none",
      )
        .env("CONCORD_PREFIX_CACHE")
        .default(64)
        .argParser(wholeNumber),
    )
    .addOption(
      new Option("--provider <name>", "what the models run on; another than cpu needs its device and drivers")
        .env("CONCORD_PROVIDER")
        .default("cpu")
        .choices(PROVIDERS),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  PORT=9000 concord serve\n  concord serve --keep-text --redact email,card --keep-for 30d --log-size 20GB",
    )
    .action(serve);
}

async function serve(options: ServeOptions, command: Command): Promise<void> {
  const { keepText = false } = options;
  if (options.redact !== undefined && !keepText) {
    command.error("error: --redact needs --keep-text: without it no text is kept");
  }
  const signal = interruption();
  const file = options.experiments === undefined ? null : await readExperimentsFile(options.experiments);
  let engine: OpenEngine | null = null;
  const late = createLateEngine();
  const told = await openTelemetry({
    level: options.logLevel,
    otlpEndpoint: options.otlpEndpoint,
    version: CONCORD_VERSION,
    knownModels: () => [...late.engine.models(), ...late.embedder.models()].map(({ id }) => id),
  });
  const { log, telemetry } = told;
  const warn = (line: string): void => log.warn(line);
  const redact = options.redact === undefined ? undefined : await openRedactor(options.redact, warn);
  const watching = watchChoices(options);
  const webhook = await openWebhook(watching, warn);
  const app = createGateway({
    engine: late.engine,
    embedder: late.embedder,
    probes: late.probes,
    experiments: late.experiments,
    observations: late.observations,
    confidence: {
      calibratedOn: () => engine && calibratedSets(engine.confidence),
      report: async () => engine && readSavedReport(engine.confidence),
    },
    clock: systemClock,
    readiness: late.readiness,
    health: () => engine?.health() ?? null,
    apiKey: process.env["CONCORD_API_KEY"] || undefined,
    telemetry,
    metrics: told.metrics,
    onInternalError: (error, requestId) =>
      log.error({ err: error, request_id: requestId }, `request ${requestId} failed`),
  });
  const server = await startServer({ app, host: options.host, port: options.port });
  let encoders: OpenSentenceEncoders | null = null;
  let watch: Watch | null = null;
  let sent = true;
  let opened: OpenExperiments | null = null;
  try {
    log.info({ url: server.url }, `concord listens on ${server.url} and is getting ready`);
    const lines = process.stderr.isTTY ? process.stderr : logLines(log);
    const supervised = {
      progress: createProgressBar(lines),
      signal,
      memberTimeoutMs: options.memberTimeoutMs,
      provider: options.provider,
      onHealth: telemetry.healthChanged,
      onQuestions: telemetry.questionsOpen,
    };
    engine = await openEngine({
      ...supervised,
      telemetry,
      keepText,
      redact,
      retention: retentionOf(options),
      quorum: options.quorum,
      variants: file?.models,
      prefixBytes: options.prefixCache * 1_000_000,
    });
    encoders = await openSentenceEncoders({ ...supervised, running: engine.members });
    watch = await openWatch({
      ...watching,
      members: engine.members,
      writer: engine.observationWriter,
      telemetry,
      webhook,
      warn,
    });
    const natives = nativeVectors(encoders.spaces, engine.members);
    const created = Math.floor(systemClock.now() / 1000);
    const probes = createProbes({
      encoders,
      store: engine.probeStore,
      clock: systemClock,
      fitHead: fitHeadInWorker,
    });
    const watched = watch.watched(engine);
    opened = await openExperiments({ ...engine, answer: watched.answer }, file, watch.judged);
    late.arrive(
      quietServices(watch, {
        engine: opened.engine,
        embedder: createEmbedder({ encoders, natives, created }),
        probes,
        experiments: opened,
        observations: engine.observations,
      }),
    );
    const names = opened.engine.models().map((model) => model.id);
    log.info({ models: names }, `ready: ${server.url}/v1 answers as ${names.join(", ")}`);
    await aborted(signal);
    log.info("stopping: running answers may finish");
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await server.close();
    await opened?.engine.drain(AbortSignal.timeout(SHADOWS_GRACE_MS));
    await watch?.close();
    await encoders?.close();
    await engine?.close();
    sent = await told.close();
  }
  // A collector that hangs would hold the process open until it is given up.
  if (!sent) process.exit();
}

/** What answers requests. */
interface Services {
  readonly engine: Engine;
  readonly embedder: Embedder;
  readonly probes: Probes;
  readonly experiments: GatewayExperiments;
  readonly observations: Observations;
}

/** Nothing is read in the background while one of them is asked. */
function quietServices(watch: Watch, { embedder, probes, ...others }: Services): Services {
  return {
    ...others,
    embedder: { ...embedder, embed: (request) => watch.during(() => embedder.embed(request)) },
    probes: {
      ...probes,
      fit: (request) => watch.during(() => probes.fit(request)),
      classify: (request) => watch.during(() => probes.classify(request)),
    },
  };
}

/** Stands in for the services until they have come: until then nothing is answered, and it is said why. */
function createLateEngine() {
  let arrived: Services | null = null;
  const reason = "the models are being loaded; on a first start they are fetched before";
  const notReady = (): GatewayError =>
    new GatewayError("not_ready", `Not ready yet: ${reason}. /readyz tells when.`);
  const all = (): Services => {
    if (arrived === null) throw notReady();
    return arrived;
  };
  // Listed before they are ready: no model yet.
  const engine: Engine = {
    models: () => arrived?.engine.models() ?? [],
    answer: (question) => all().engine.answer(question),
  };
  const embedder: Embedder = {
    models: () => arrived?.embedder.models() ?? [],
    embed: async (request) => all().embedder.embed(request),
  };
  return {
    engine,
    embedder,
    probes: lateService(() => all().probes),
    experiments: {
      experiments: lateService(() => all().experiments.experiments),
      feedback: lateService(() => all().experiments.feedback),
    },
    observations: lateService(() => all().observations),
    readiness: () => (arrived === null ? { ready: false as const, reason } : { ready: true as const }),
    arrive(services: Services): void {
      arrived = services;
    },
  };
}

/** Has whatever the service has once it has arrived. */
function lateService<Service extends object>(arrived: () => Service): Service {
  return new Proxy({} as Service, { get: (_, property) => Reflect.get(arrived(), property) });
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

function timeoutMs(text: string): number {
  const value = wholeNumber(text);
  if (value < 100) throw new InvalidArgumentError("Expected at least 100 milliseconds.");
  return value;
}

function quorum(text: string): number {
  const value = wholeNumber(text);
  if (value >= 1 && value <= MEMBER_IDS.length) return value;
  throw new InvalidArgumentError(`Expected 1 to ${MEMBER_IDS.length} members.`);
}

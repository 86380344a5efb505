import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { createDashboard } from "../dashboard/app.tsx";
import type { ConfidenceEvidence } from "../dashboard/sources.ts";
import type { Experiments } from "../experiments/experiments.ts";
import type { FeedbackDesk } from "../experiments/feedback.ts";
import type { Clock } from "../ports/clock.ts";
import type { Embedder } from "../ports/embedder.ts";
import type { Engine } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { EnsembleHealth } from "../ports/health.ts";
import type { Observations } from "../ports/observations.ts";
import type { Probes } from "../ports/probes.ts";
import { noTelemetry, type Telemetry } from "../ports/telemetry.ts";
import { requireApiKey } from "./authentication.ts";
import { chatCompletions } from "./chat-completions.ts";
import { classify } from "./classify.ts";
import { completions } from "./completions.ts";
import type { AnswerSource, GatewayContext, GatewayEnvironment } from "./environment.ts";
import { embeddings } from "./embeddings.ts";
import { answerWithError, asGatewayError } from "./error-response.ts";
import {
  analyseObservations,
  changeExperiment,
  createExperiment,
  findExperiment,
  giveFeedback,
  listExperiments,
  listObservations,
  moveExperiment,
  removeExperiment,
  stopExperiment,
} from "./experiments.ts";
import { health, ready, requireReady, type Readiness } from "./health.ts";
import { describe } from "./invalid-field.ts";
import { metrics, type MetricsText } from "./metrics.ts";
import { findModel, listModels } from "./models.ts";
import { observeRequests } from "./observation.ts";
import { exportProbe, findProbe, fitProbe, importProbe, listProbes, removeProbe } from "./probes.ts";
import { limitBody } from "./request-body.ts";

export interface GatewayDependencies {
  readonly engine: Engine;
  /** Absent: nothing gives embeddings, and there is no path for them. */
  readonly embedder?: Embedder | undefined;
  /** Absent: there are no probes, and no paths for them. */
  readonly probes?: Probes | undefined;
  /** Absent: there are no experiments and no feedback, and no paths for them. `engine` answers as experiments. */
  readonly experiments?: GatewayExperiments | undefined;
  /** What the log tells; absent: there is no dashboard. */
  readonly observations?: Observations | undefined;
  /** How far confidences can be trusted, for the dashboard; absent: it has no numbers of it. */
  readonly confidence?: ConfidenceEvidence | undefined;
  readonly clock: Clock;
  readonly readiness: Readiness;
  /** How the members are, for `/readyz`; null while that is not known. */
  readonly health?: (() => EnsembleHealth | null) | undefined;
  /** When given, every path but those of health asks for it as a bearer token, and the dashboard's pages ask for it once. */
  readonly apiKey?: string | undefined;
  /** The largest request body, bytes. Default 8 MiB, for the examples of a probe 64 MiB. */
  readonly bodyLimitBytes?: number | undefined;
  /** The unique part of a request's id. Default `crypto.randomUUID`. */
  readonly newRequestId?: (() => string) | undefined;
  /** Told of each failure that is the gateway's own. Default: `console.error`. */
  readonly onInternalError?: ((error: unknown, requestId: string) => void) | undefined;
  /** Told of every request and answer. Default: nobody. */
  readonly telemetry?: Telemetry | undefined;
  /** What `/metrics` answers; absent: there is no such path. */
  readonly metrics?: (() => Promise<MetricsText>) | undefined;
}

export interface GatewayExperiments {
  readonly experiments: Experiments;
  readonly feedback: FeedbackDesk;
}

export type Gateway = Hono<GatewayEnvironment>;

const BODY_LIMIT_BYTES = 8 * 1024 * 1024;
/** 50,000 examples of a paragraph each. */
const EXAMPLES_LIMIT_BYTES = 64 * 1024 * 1024;

const PROBES = "/v1/probes";
const CLASSIFY = "/classify";
const METRICS = "/metrics";
const EXPERIMENTS = "/v1/experiments";
const FEEDBACK = "/feedback";

/** The HTTP face of an engine: OpenAI's chat and text completions, embeddings, probes, the models, health. Routes may be added to it. */
export function createGateway(deps: GatewayDependencies): Gateway {
  const { engine, embedder = null, clock } = deps;
  const reportFailure = reporter(deps.onInternalError ?? logInternalError);
  const source: AnswerSource = { engine, embedder, clock, reportFailure };

  const app: Gateway = new Hono<GatewayEnvironment>();
  app.onError((error, c) => {
    reportFailure(error, c.get("requestId"));
    return answerWithError(c, asGatewayError(error));
  });
  app.notFound((c) => answerWithError(c, unknownPath(c)));

  app.use(identifyRequest(deps.newRequestId ?? (() => crypto.randomUUID())));
  app.use(observeRequests(deps.telemetry ?? noTelemetry, clock));
  for (const path of ["/v1/*", CLASSIFY, FEEDBACK]) {
    if (deps.apiKey !== undefined) app.use(path, requireApiKey(deps.apiKey));
    const limit = limitBody(deps.bodyLimitBytes ?? BODY_LIMIT_BYTES);
    const ofExamples = limitBody(deps.bodyLimitBytes ?? EXAMPLES_LIMIT_BYTES);
    app.use(path, (c, next) => (c.req.path === PROBES ? ofExamples : limit)(c, next));
  }

  const answering = requireReady(deps.readiness);
  app.post("/v1/chat/completions", answering, chatCompletions(source)).all(allowOnly("POST"));
  app.post("/v1/completions", answering, completions(source)).all(allowOnly("POST"));
  if (embedder !== null) {
    app.post("/v1/embeddings", answering, embeddings(embedder)).all(allowOnly("POST"));
  }
  if (deps.probes !== undefined) addProbes(app, answering, deps.probes, source);
  if (deps.experiments !== undefined) addExperiments(app, answering, deps.experiments);
  app.get("/v1/models", listModels(source)).all(allowOnly("GET, HEAD"));
  app.get("/v1/models/:id{.+}", findModel(source)).all(allowOnly("GET, HEAD"));
  app.get("/healthz", health).all(allowOnly("GET, HEAD"));
  if (deps.metrics !== undefined) {
    if (deps.apiKey !== undefined) app.use(METRICS, requireApiKey(deps.apiKey));
    app.get(METRICS, metrics(deps.metrics)).all(allowOnly("GET, HEAD"));
  }
  app.get("/readyz", ready(deps.readiness, deps.health ?? (() => null))).all(allowOnly("GET, HEAD"));
  if (deps.observations !== undefined) addDashboard(app, deps, deps.observations);
  return app;
}

function addDashboard(app: Gateway, deps: GatewayDependencies, observations: Observations): void {
  const { clock, health: healthOf, probes, apiKey } = deps;
  const dashboard = createDashboard({
    experiments: deps.experiments?.experiments,
    confidence: deps.confidence,
    observations,
    clock,
    health: healthOf,
    probes,
    apiKey,
    onInternalError: deps.onInternalError,
  });
  app.route("/", dashboard);
}

function addProbes(
  app: Gateway,
  answering: ReturnType<typeof requireReady>,
  probes: Probes,
  { clock, reportFailure }: AnswerSource,
): void {
  app
    .post(PROBES, answering, fitProbe(probes, reportFailure))
    .get(answering, listProbes(probes))
    .all(allowOnly("GET, HEAD, POST"));
  app.post(`${PROBES}/import`, answering, importProbe(probes));
  app.get(`${PROBES}/:name/export`, answering, exportProbe(probes)).all(allowOnly("GET, HEAD"));
  app
    .get(`${PROBES}/:name`, answering, findProbe(probes))
    .delete(answering, removeProbe(probes))
    .all(allowOnly("DELETE, GET, HEAD"));
  app.post(CLASSIFY, answering, classify(probes, clock)).all(allowOnly("POST"));
}

function addExperiments(
  app: Gateway,
  answering: ReturnType<typeof requireReady>,
  { experiments, feedback }: GatewayExperiments,
): void {
  app
    .post(EXPERIMENTS, answering, createExperiment(experiments))
    .get(answering, listExperiments(experiments))
    .all(allowOnly("GET, HEAD, POST"));
  app
    .get(`${EXPERIMENTS}/:name`, answering, findExperiment(experiments))
    .patch(answering, changeExperiment(experiments))
    .delete(answering, removeExperiment(experiments))
    .all(allowOnly("DELETE, GET, HEAD, PATCH"));
  const moves = [
    ["start", moveExperiment((name) => experiments.start(name))],
    ["pause", moveExperiment((name) => experiments.pause(name))],
    ["stop", stopExperiment(experiments)],
  ] as const;
  for (const [move, handler] of moves) {
    app.post(`${EXPERIMENTS}/:name/${move}`, answering, handler).all(allowOnly("POST"));
  }
  app
    .get(`${EXPERIMENTS}/:name/analysis`, answering, analyseObservations(experiments))
    .all(allowOnly("GET, HEAD"));
  app
    .get(`${EXPERIMENTS}/:name/observations`, answering, listObservations(experiments))
    .all(allowOnly("GET, HEAD"));
  app.post(FEEDBACK, answering, giveFeedback(feedback)).all(allowOnly("POST"));
}

/** An answer's id says what it is an answer to; it is also the request's. */
function idPrefix(path: string): string {
  if (path === "/v1/chat/completions") return "chatcmpl-";
  if (path === CLASSIFY) return "classify-";
  return path === "/v1/completions" ? "cmpl-" : "req-";
}

/** A client's own `x-request-id` is not taken over: ids name rows of the log and have to be unique. */
const identifyRequest = (newRequestId: () => string) =>
  createMiddleware<GatewayEnvironment>(async (c, next) => {
    const id = `${idPrefix(c.req.path)}${newRequestId()}`;
    c.set("requestId", id);
    c.header("x-request-id", id);
    await next();
  });

const allowOnly =
  (methods: string) =>
  (c: GatewayContext): Response => {
    c.header("allow", methods);
    throw new GatewayError(
      "method_not_allowed",
      `${c.req.method} ${describe(c.req.path)}: this path takes ${methods} only.`,
    );
  };

function unknownPath(c: GatewayContext): GatewayError {
  const message = `${c.req.method} ${describe(c.req.path)}: there is no such path. The API is under /v1: chat/completions, completions, embeddings, probes, experiments, models; and /classify, /feedback.`;
  return new GatewayError("not_found", message);
}

const reporter =
  (report: (error: unknown, requestId: string) => void): AnswerSource["reportFailure"] =>
  (error, requestId) => {
    if (asGatewayError(error).code === "internal") report(error, requestId);
  };

function logInternalError(error: unknown, requestId: string): void {
  console.error(`request ${requestId} failed:`, error);
}

import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import type { Clock } from "../ports/clock.ts";
import type { Embedder } from "../ports/embedder.ts";
import type { Engine, Question } from "../ports/engine.ts";
import type { GatewayErrorCode } from "../ports/gateway-error.ts";
import { silentSpan, type Attributes, type Span } from "../ports/span.ts";
import type { AnswerOutcome, AnswerRecord, Operation, Telemetry } from "../ports/telemetry.ts";
import type { GatewayContext, GatewayEnvironment, ModelSources } from "./environment.ts";
import { asGatewayError } from "./error-response.ts";

/** What is told of one request while it is answered. */
export interface Observation {
  /** The same engine; its answers are told as parts of this request. */
  engine(engine: Engine): Engine;
  embedder(embedder: Embedder): Embedder;
  /** The response goes on after its head: the request is over when what this returns has been called. */
  hold(): (error?: unknown) => void;
}

/** Asked by machines every few seconds: no trace begins with them. */
const ROUTINE = new Set(["/healthz", "/readyz", "/metrics"]);

/** Tells of every request, and hands its handlers the observation that they tell by. */
export const observeRequests = (telemetry: Telemetry, clock: Clock) =>
  createMiddleware<GatewayEnvironment>(async (c, next) => {
    const observation = createObservation(c, telemetry, clock);
    c.set("observation", observation);
    const release = observation.hold();
    try {
      await next();
    } finally {
      release(c.error);
    }
  });

/** The engine and the embedder as this request's handlers are to ask them. */
export function observed<Source extends ModelSources>(source: Source, c: GatewayContext): Source {
  const { engine, embedder } = source;
  const observation = c.get("observation");
  return {
    ...source,
    engine: observation.engine(engine),
    embedder: embedder && observation.embedder(embedder),
  };
}

function createObservation(c: Context<GatewayEnvironment>, telemetry: Telemetry, clock: Clock): Observation {
  const { method, path } = c.req;
  const requestId = c.get("requestId");
  const start = clock.monotonic();
  const route = matchedRoute(c);
  const routine = ROUTINE.has(path);
  const answers: AnswerRecord[] = [];
  let held = 0;
  let error: GatewayErrorCode | null = null;
  const span = routine ? silentSpan : beginTrace(c, route, telemetry);
  telemetry.requestStarted(method);

  function end(): void {
    const { status } = c.res;
    const failed = error !== "cancelled" && (status >= 500 || (error !== null && status < 400));
    span.note({ "http.response.status_code": status, "error.type": error ?? undefined });
    // As for HTTP servers by convention, a client's fault is no error of the server's span.
    span.end(failed ? (error ?? String(status)) : undefined);
    telemetry.requestEnded({
      requestId,
      method,
      path,
      route,
      status,
      latencyMs: clock.monotonic() - start,
      error,
      failed,
      routine,
      traceId: span.traceId,
      answers,
    });
  }

  /** Begins one answer; it is over with the first outcome. */
  function begin(operation: Operation, model: string, id: string, asked: Attributes): Begun {
    const began = clock.monotonic();
    const part = span.child(`${operation} ${model}`, {
      "gen_ai.operation.name": operation,
      "gen_ai.provider.name": "concord",
      "gen_ai.request.model": model,
      "gen_ai.response.id": id,
      ...asked,
    });
    let firstTokenMs: number | null = null;
    let over = false;
    return {
      span: part,
      token: () => void (firstTokenMs ??= clock.monotonic() - began),
      settle(outcome, cause) {
        if (over) return;
        over = true;
        const latencyMs = clock.monotonic() - began;
        const record = { requestId: id, operation, model, latencyMs, firstTokenMs, outcome };
        answers.push(record);
        telemetry.answered(record);
        if (part.recording) part.note(outcomeAttributes(outcome));
        part.end(cause);
      },
    };
  }

  return {
    engine: (engine) => ({
      ...engine,
      async *answer(question) {
        const operation = question.endpoint === "completions" ? "text_completion" : "chat";
        const begun = begin(operation, question.model, question.requestId, askedAttributes(question));
        const { span: part } = begun;
        try {
          for await (const event of engine.answer(part.recording ? { ...question, span: part } : question)) {
            if (event.type === "delta") begun.token();
            if (event.type === "end") begun.settle(event);
            yield event;
          }
        } catch (cause) {
          begun.settle({ type: "error", code: asGatewayError(cause).code }, cause);
          throw cause;
        } finally {
          // Whoever asked went away before the end.
          begun.settle({ type: "error", code: "cancelled" }, "cancelled");
        }
      },
    }),
    embedder: (embedder) => ({
      ...embedder,
      async embed(request) {
        const begun = begin("embeddings", request.model, requestId, {
          "concord.texts": request.texts.length,
        });
        try {
          const made = await embedder.embed(request);
          begun.settle({ type: "vectors", promptTokens: made.tokens });
          return made;
        } catch (cause) {
          begun.settle({ type: "error", code: asGatewayError(cause).code }, cause);
          throw cause;
        }
      },
    }),
    hold() {
      held++;
      let released = false;
      return (cause) => {
        if (released) return;
        released = true;
        held--;
        if (cause !== undefined) error ??= asGatewayError(cause).code;
        if (held === 0) end();
      };
    },
  };
}

/** An answer that is being made. */
interface Begun {
  readonly span: Span;
  /** A token is there. */
  token(): void;
  /** @param cause what it failed with */
  settle(outcome: AnswerOutcome, cause?: unknown): void;
}

function beginTrace(c: Context<GatewayEnvironment>, route: string | null, telemetry: Telemetry): Span {
  const { method, path } = c.req;
  const name = route === null ? method : `${method} ${route}`;
  const attributes = {
    "http.request.method": method,
    "url.path": path,
    "http.route": route ?? undefined,
    "concord.request_id": c.get("requestId"),
  };
  const parent = { traceparent: c.req.header("traceparent"), tracestate: c.req.header("tracestate") };
  return telemetry.startTrace(name, attributes, parent);
}

/** The pattern of the handler that answers; null where only middleware matches. */
function matchedRoute(c: Context): string | null {
  return matchedRoutes(c).find(({ path }) => !path.endsWith("*"))?.path ?? null;
}

function askedAttributes({ sampling, maxTokens, choices }: Question): Attributes {
  return {
    "gen_ai.request.max_tokens": maxTokens ?? undefined,
    "gen_ai.request.temperature": sampling.temperature,
    "gen_ai.request.top_p": sampling.topP,
    "gen_ai.request.seed": sampling.seed ?? undefined,
    "concord.choices": choices?.length,
  };
}

function outcomeAttributes(outcome: AnswerOutcome): Attributes {
  if (outcome.type === "error") return { "error.type": outcome.code };
  if (outcome.type === "vectors") return { "gen_ai.usage.input_tokens": outcome.promptTokens };
  const { finishReason, usage, report, confidence } = outcome;
  const { agreement, members } = report;
  return {
    "gen_ai.response.model": report.answeredBy,
    "gen_ai.response.finish_reasons": [finishReason],
    "gen_ai.usage.input_tokens": usage.promptTokens,
    "gen_ai.usage.output_tokens": usage.completionTokens,
    "concord.js_divergence": agreement.jsDivergence ?? undefined,
    "concord.top1_agreement": agreement.top1Agreement ?? undefined,
    "concord.state_distance": agreement.stateDistance ?? undefined,
    "concord.confidence": confidence.value ?? undefined,
    "concord.lost": members.flatMap(({ id, lost }) => (lost === undefined ? [] : [id])),
  };
}

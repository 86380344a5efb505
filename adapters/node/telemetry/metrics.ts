import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** Seconds, of the convention. */
const DURATION = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const OUTPUT_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
/** Tokens: powers of 4 up to 4^13. */
const TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power);
const HTTP = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Of an append to SQLite, seconds. */
const APPEND = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1];
const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
/** Nats; ln 2 is the most that two members can differ. */
const DIVERGENCE = [0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 1];
/** Cosine distances. */
const DISTANCE = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2];

const ASKED = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"] as const;
const ANSWERED = [...ASKED, "gen_ai_response_model"] as const;
const MEMBER = ["concord_member"] as const;
const SIGNAL = ["concord_signal", ...MEMBER] as const;

/** Every metric but those of the process. */
export function defineMetrics(registry: Registry) {
  const registers = [registry];
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly Label[] = [],
  ) => new Histogram<Label>({ name, help, buckets: [...buckets], labelNames, registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Counter<Label>({ name, help, labelNames, registers });
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge<Label>({ name, help, labelNames, registers });

  const duration = histogram("gen_ai_server_request_duration_seconds", "Whole answers.", DURATION, [
    ...ANSWERED,
    "error_type",
  ]);
  const firstToken = histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "From a question to the first token of its answer.",
    FIRST_TOKEN,
    ANSWERED,
  );
  const outputToken = histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Mean time of an answer's tokens after the first.",
    OUTPUT_TOKEN,
    ANSWERED,
  );
  const tokens = histogram("gen_ai_client_token_usage", "Tokens read and made, by answer.", TOKENS, [
    ...ANSWERED,
    "gen_ai_token_type",
  ]);
  const http = histogram(
    "http_server_request_duration_seconds",
    "Requests to the end of the response.",
    HTTP,
    ["http_request_method", "http_route", "http_response_status_code", "url_scheme", "error_type"],
  );
  const active = gauge("http_server_active_requests", "Requests that are being answered.", [
    "http_request_method",
    "url_scheme",
  ]);

  const divergence = histogram(
    "concord_js_divergence_nats",
    "Jensen-Shannon divergence of the members, the mean over an answer.",
    DIVERGENCE,
    ASKED,
  );
  const agreement = histogram(
    "concord_top1_agreement_ratio",
    "Share of an answer's positions at which all members have the same first choice.",
    SHARES,
    ASKED,
  );
  const distance = histogram(
    "concord_state_distance",
    "Cosine distance of the members' projected states, the mean over an answer.",
    DISTANCE,
    ASKED,
  );
  const weight = histogram(
    "concord_member_weight",
    "A member's weight in a fused answer, the mean over its positions.",
    SHARES,
    MEMBER,
  );
  const compute = histogram(
    "concord_member_compute_seconds",
    "Time that a member computed for one answer.",
    DURATION,
    MEMBER,
  );
  const abstained = counter(
    "concord_member_abstained_positions_total",
    "Positions of answers at which a member gave no state.",
    MEMBER,
  );
  const degraded = counter(
    "concord_degraded_answers_total",
    "Answers that a member was lost from on the way.",
    ASKED,
  );
  const confidence = histogram(
    "concord_confidence_ratio",
    "Calibrated probabilities that answers are right.",
    SHARES,
    ["concord_confidence_kind"],
  );
  const unknownConfidence = counter(
    "concord_confidence_unknown_total",
    "Answers whose confidence cannot be told, by why not.",
    ["concord_confidence_gap"],
  );
  const up = gauge("concord_member_up", "1 where a member, or the shared decoder, can be asked.", MEMBER);
  const losses = counter("concord_member_losses_total", "Times that one was lost while it ran.", MEMBER);
  const restarts = counter("concord_member_restarts_total", "Times that one came back after a loss.", MEMBER);
  const queue = gauge("concord_member_open_questions", "Questions that one has not answered yet.", MEMBER);
  const append = histogram(
    "concord_log_append_duration_seconds",
    "Time to write one answer to the agreement log.",
    APPEND,
  );

  const alerts = counter("concord_alerts_total", "Times that a signal of the answers moved.", [
    ...SIGNAL,
    "concord_direction",
  ]);
  const raised = gauge(
    "concord_signal_raised",
    "1 from an alert until its signal is back or has stayed where it went.",
    SIGNAL,
  );

  return {
    duration,
    firstToken,
    outputToken,
    tokens,
    http,
    active,
    divergence,
    agreement,
    distance,
    weight,
    compute,
    abstained,
    degraded,
    confidence,
    unknownConfidence,
    up,
    losses,
    restarts,
    queue,
    append,
    alerts,
    raised,
  };
}

export type Metrics = ReturnType<typeof defineMetrics>;

import { GatewayError } from "../ports/gateway-error.ts";
import { describe } from "./invalid-field.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Fields that clients send as a matter of course and that cannot change an answer here: names for billing and
 * storage, hints for caching and speed. Accepted with any value.
 */
const withoutEffect: ReadonlySet<string> = new Set([
  "user",
  "metadata",
  "store",
  "service_tier",
  "parallel_tool_calls",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prediction",
]);

interface Limit {
  /** The values that ask for what happens anyway. */
  readonly accepts: (value: unknown) => boolean;
  readonly reason: string;
}

const only = (...values: readonly unknown[]) => ({
  accepts: (value: unknown) => values.includes(value),
});
const onlyEmpty = { accepts: (value: unknown) => Array.isArray(value) && value.length === 0 };
const never = { accepts: () => false };

const noTools = "Concord's members do not call tools; leave it out.";
const oneAnswer = "Concord gives one answer per prompt; send the request again with another seed for more.";
const noGrammar = "Concord holds its answers to a choice of strings; use structured_outputs with choice.";
const textOnly = "Concord reads and writes text only; leave it out.";
const noReasoning = "Concord's members do not reason in a hidden text; leave it out.";
const noBeams = "Concord samples one answer token by token; leave it out.";

/** Fields that would change the answer and cannot be honoured: refused unless their value changes nothing. */
const limits: ReadonlyMap<string, Limit> = new Map([
  ["tools", { ...onlyEmpty, reason: noTools }],
  ["functions", { ...onlyEmpty, reason: noTools }],
  ["tool_choice", { ...only("none", "auto"), reason: noTools }],
  ["function_call", { ...only("none", "auto"), reason: noTools }],
  ["web_search_options", { ...never, reason: noTools }],
  ["n", { ...only(1), reason: oneAnswer }],
  ["best_of", { ...only(1), reason: oneAnswer }],
  [
    "suffix",
    { ...only(""), reason: "Concord writes on after the prompt and cannot fill a gap; leave it out." },
  ],
  ["guided_json", { ...never, reason: noGrammar }],
  ["guided_regex", { ...never, reason: noGrammar }],
  ["guided_grammar", { ...never, reason: noGrammar }],
  ["modalities", { accepts: isTextModality, reason: textOnly }],
  ["audio", { ...never, reason: textOnly }],
  ["reasoning_effort", { ...only("none"), reason: noReasoning }],
  ["verbosity", { ...only("medium"), reason: "Ask for a short or a long answer in the prompt instead." }],
  [
    "repetition_penalty",
    { ...only(1), reason: "Use frequency_penalty or presence_penalty against repetition." },
  ],
  ["min_tokens", { ...only(0), reason: "An answer ends where the members end it or at max_tokens." }],
  ["ignore_eos", { ...only(false), reason: "An answer ends where the members end it or at max_tokens." }],
  ["use_beam_search", { ...only(false), reason: noBeams }],
  ["length_penalty", { ...only(1), reason: noBeams }],
]);

/**
 * The fields that a schema has to read, without those that change nothing.
 * @throws GatewayError unsupported for a field that would change the answer and cannot be honoured
 */
export function supportedFields(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([param, value]) => {
      if (withoutEffect.has(param)) return false;
      const limit = limits.get(param);
      if (limit === undefined) return true;
      if (limit.accepts(value)) return false;
      const message = `${param}: ${describe(value)} is not supported. ${limit.reason}`;
      throw new GatewayError("unsupported", message, { param });
    }),
  );
}

function isTextModality(value: unknown): boolean {
  return Array.isArray(value) && value.length === 1 && value[0] === "text";
}

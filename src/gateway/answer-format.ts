import type { AnswerChoice, Demands, SamplingOptions } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { describe } from "./invalid-field.ts";
import { samplingOf, type ChatRequest, type CompletionRequest } from "./schemas.ts";

type Request = ChatRequest | CompletionRequest;

/** What a request asks of its answer besides the text. */
export interface AskedAnswer {
  readonly choices: readonly AnswerChoice[] | undefined;
  readonly demands: Demands | undefined;
  readonly sampling: SamplingOptions;
}

const noGrammar =
  "Concord holds its answers to a choice of strings and to no other grammar; ask for the format in the prompt.";

/**
 * What the answer is one of, what its confidence is to be, and how it is drawn.
 * @throws GatewayError invalid_request for two forms at once, or for what goes with no choice; unsupported for a form
 * other than a choice
 */
export function askedAnswer(request: Request): AskedAnswer {
  const choices = askedChoices(request);
  if (choices !== undefined) refuseBesideChoices(request, choices);
  const coverage = request.concord?.coverage ?? null;
  if (coverage !== null && choices === undefined) {
    throw invalid("concord.coverage", "expected choices beside it: a prediction set is a set of choices");
  }
  return {
    choices,
    demands: request.concord && { coverage, minConfidence: request.concord.min_confidence ?? null },
    sampling: samplingOf(request, choices === undefined ? 1 : 0),
  };
}

function askedChoices(request: Request): readonly AnswerChoice[] | undefined {
  const given: [field: string, choices: readonly AnswerChoice[] | undefined][] = [
    ["response_format", inResponseFormat(request.response_format)],
    ["structured_outputs", inStructuredOutputs(request.structured_outputs)],
    ["guided_choice", request.guided_choice && plainChoices(request.guided_choice)],
  ];
  const [first, second] = given.filter(([, choices]) => choices !== undefined);
  if (first && second) {
    throw invalid(second[0], `expected one form of the answer, got ${first[0]} beside it; leave one out`);
  }
  return first?.[1];
}

function inResponseFormat(asked: Request["response_format"]): readonly AnswerChoice[] | undefined {
  if (asked === undefined || asked.type === "text") return undefined;
  const choices = asked.type === "json_schema" ? choicesOf(asked.json_schema.schema) : null;
  if (choices === null) throw unsupported("response_format", asked);
  return choices;
}

function inStructuredOutputs(asked: Request["structured_outputs"]): readonly AnswerChoice[] | undefined {
  if (asked === undefined) return undefined;
  const { choice, ...others } = asked;
  if (choice === undefined || Object.values(others).some((value) => value !== undefined)) {
    throw unsupported("structured_outputs", asked);
  }
  return plainChoices(choice);
}

function plainChoices(values: readonly string[]): readonly AnswerChoice[] {
  return values.map((value) => ({ value, text: value }));
}

/** Words of a schema that say nothing of the value. */
const NOTES: ReadonlySet<string> = new Set(["$schema", "$id", "title", "description", "default", "examples"]);

/**
 * The strings that a schema has to choose from, and their JSON: an enum of strings, or an object with such a one as its
 * only, required property. Null for any other schema.
 */
function choicesOf(schema: object): readonly AnswerChoice[] | null {
  const strings = enumOf(schema);
  if (strings !== null) return written(strings, (value) => value);
  const { type, properties, required, ...others } = told(schema);
  const { additionalProperties: _, ...rest } = others;
  if (type !== "object" || !isObject(properties) || Object.keys(rest).length > 0) return null;
  const [property, more] = Object.entries(properties);
  if (property === undefined || more !== undefined) return null;
  const [name, inner] = property;
  const values = isObject(inner) ? enumOf(inner) : null;
  if (values === null || !Array.isArray(required) || required.length !== 1 || required[0] !== name)
    return null;
  return written(values, (value) => ({ [name]: value }));
}

function enumOf(schema: object): string[] | null {
  const { type = "string", enum: values, ...rest } = told(schema);
  if (type !== "string" || !Array.isArray(values) || Object.keys(rest).length > 0) return null;
  const strings = values.filter((value) => typeof value === "string" && value !== "");
  const apart = new Set(strings).size === values.length;
  return strings.length > 0 && apart ? strings : null;
}

function told(schema: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !NOTES.has(key)));
}

function written(values: readonly string[], json: (value: string) => unknown) {
  return values.map((value) => ({ value, text: JSON.stringify(json(value)) }));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A choice is said whole and once: what changes an answer token by token has no meaning for it. */
function refuseBesideChoices(request: Request, choices: readonly AnswerChoice[]): void {
  const cut = request.stop.find((stop) => choices.some(({ text }) => text.includes(stop)));
  if (cut !== undefined) {
    throw invalid("stop", `expected no text that is part of a choice, got ${JSON.stringify(cut)}`);
  }
  if (request.logit_bias.size > 0) throw noMeaning("logit_bias");
  if (request.frequency_penalty !== 0) throw noMeaning("frequency_penalty");
  if (request.presence_penalty !== 0) throw noMeaning("presence_penalty");
}

function noMeaning(param: string): GatewayError {
  return new GatewayError(
    "unsupported",
    `${param}: a choice is answered whole, not token by token; leave it out.`,
    { param },
  );
}

function unsupported(param: string, value: unknown): GatewayError {
  return new GatewayError("unsupported", `${param}: ${describe(value)} is not supported. ${noGrammar}`, {
    param,
  });
}

function invalid(param: string, message: string): GatewayError {
  return new GatewayError("invalid_request", `${param}: ${message}.`, { param });
}

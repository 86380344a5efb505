import type { AnswerFormat, Demands, SamplingOptions } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { samplingOf, type ChatRequest, type CompletionRequest } from "./schemas.ts";

type Request = ChatRequest | CompletionRequest;

/** What a request asks of its answer besides the text. */
export interface AskedAnswer {
  readonly format: AnswerFormat | undefined;
  readonly demands: Demands | undefined;
  readonly sampling: SamplingOptions;
}

/**
 * The form of the answer, what its confidence is to be, and how it is drawn.
 * @throws GatewayError invalid_request for two forms at once, or for what goes with no choice
 */
export function askedAnswer(request: Request): AskedAnswer {
  const format = formatOf(request);
  if (format?.kind === "choice") refuseBesideChoices(request, format);
  const coverage = request.concord?.coverage ?? null;
  if (coverage !== null && format?.kind !== "choice") {
    throw invalid("concord.coverage", "expected choices beside it: a prediction set is a set of choices");
  }
  return {
    format,
    demands: request.concord && { coverage, minConfidence: request.concord.min_confidence ?? null },
    sampling: samplingOf(request, format?.kind === "choice" ? 0 : 1),
  };
}

function formatOf(request: Request): AnswerFormat | undefined {
  const { response_format: asked, structured_outputs: structured } = request;
  const json = (schema: object, field: string): AnswerFormat =>
    choicesOf(schema) ?? { kind: "json", schema, field };
  const given: [field: string, format: AnswerFormat | undefined][] = [
    [
      "response_format",
      asked?.type === "json_schema"
        ? json(asked.json_schema.schema, "response_format")
        : asked?.type === "json_object"
          ? { kind: "json", schema: null, field: "response_format" }
          : undefined,
    ],
    ["structured_outputs", structured && formatIn(structured, json)],
    ["guided_choice", request.guided_choice && plainChoices(request.guided_choice)],
    ["guided_json", request.guided_json && json(request.guided_json, "guided_json")],
    [
      "guided_regex",
      request.guided_regex === undefined
        ? undefined
        : { kind: "regex", pattern: request.guided_regex, field: "guided_regex" },
    ],
    [
      "guided_grammar",
      request.guided_grammar === undefined
        ? undefined
        : { kind: "grammar", rules: request.guided_grammar, field: "guided_grammar" },
    ],
  ];
  const [first, second] = given.filter(([, format]) => format !== undefined);
  if (first && second) {
    throw invalid(second[0], `expected one form of the answer, got ${first[0]} beside it; leave one out`);
  }
  return first?.[1];
}

function formatIn(
  { choice, json, json_object: anyObject, regex, grammar }: NonNullable<Request["structured_outputs"]>,
  jsonFormat: (schema: object, field: string) => AnswerFormat,
): AnswerFormat | undefined {
  const field = "structured_outputs";
  if (choice !== undefined) return plainChoices(choice);
  if (json !== undefined) return jsonFormat(json, field);
  if (anyObject !== undefined) return { kind: "json", schema: null, field };
  if (regex !== undefined) return { kind: "regex", pattern: regex, field };
  return grammar === undefined ? undefined : { kind: "grammar", rules: grammar, field };
}

function plainChoices(values: readonly string[]): AnswerFormat {
  return { kind: "choice", choices: values.map((value) => ({ value, text: value })) };
}

/** Words of a schema that say nothing of the value. */
const NOTES: ReadonlySet<string> = new Set(["$schema", "$id", "title", "description", "default", "examples"]);

/**
 * The strings that a schema has to choose from, and their JSON: an enum of strings, or an object with such a one as its
 * only, required property. Null for any other schema.
 */
function choicesOf(schema: object): AnswerFormat | null {
  const strings = enumOf(schema);
  if (strings !== null) return { kind: "choice", choices: written(strings, (value) => value) };
  const { type, properties, required, ...others } = told(schema);
  const { additionalProperties: _, ...rest } = others;
  if (type !== "object" || !isObject(properties) || Object.keys(rest).length > 0) return null;
  const [property, more] = Object.entries(properties);
  if (property === undefined || more !== undefined) return null;
  const [name, inner] = property;
  const values = isObject(inner) ? enumOf(inner) : null;
  if (values === null || !Array.isArray(required) || required.length !== 1 || required[0] !== name)
    return null;
  return { kind: "choice", choices: written(values, (value) => ({ [name]: value })) };
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
function refuseBesideChoices(request: Request, { choices }: Extract<AnswerFormat, { kind: "choice" }>): void {
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

function invalid(param: string, message: string): GatewayError {
  return new GatewayError("invalid_request", `${param}: ${message}.`, { param });
}

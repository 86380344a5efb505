import * as z from "zod";
import type { Prompt, SamplingOptions } from "../ports/engine.ts";
import type { ChatMessage } from "../ports/tokenizer.ts";

// Every message in this file is a noun phrase: `invalid-field.ts` puts it after "expected".

/** More than any conversation that fits a context; keeps a hostile body from filling the memory with faults. */
const MOST_ITEMS = 2048;
const MOST_STOPS = 4;
const MOST_ALTERNATIVES = 20;
/** OpenAI's default for completions. */
export const COMPLETION_TOKENS = 16;

const loneSurrogate = /\p{Surrogate}/u;
const wellFormedText = "a string of whole characters (no lone surrogates)";
const isWellFormed = (text: unknown): text is string => typeof text === "string" && !loneSurrogate.test(text);
export const text = z.string("a string").refine(isWellFormed, wellFormedText);
export const flag = z.boolean("true or false");

function numberIn(low: number, high: number) {
  const expected = `a number from ${low} to ${high}`;
  return z.number(expected).min(low, expected).max(high, expected);
}

export function integerIn(low: number, high: number = Number.MAX_SAFE_INTEGER) {
  const expected =
    high === Number.MAX_SAFE_INTEGER
      ? `a whole number, at least ${low}`
      : `a whole number from ${low} to ${high}`;
  return z.int(expected).min(low, expected).max(high, expected);
}

/** The length is checked before the items are, so that a fault in each of a million items costs nothing. */
export function listOf<T>(item: z.ZodType<T>, expected: string, most: number) {
  return z.array(z.unknown(), expected).min(1, expected).max(most, expected).pipe(z.array(item));
}

const logitBias = z
  .custom<Record<string, unknown>>(
    (value) =>
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      Object.keys(value).length <= MOST_ITEMS,
    `an object from at most ${MOST_ITEMS} token ids to numbers from -100 to 100`,
  )
  .pipe(z.record(z.string().regex(/^\d{1,9}$/, "a token id"), numberIn(-100, 100)))
  .transform((biases) => new Map(Object.entries(biases).map(([token, bias]) => [Number(token), bias])));

const stopText = text.min(1, "a string that is not empty");
const stopPhrase = `a string that is not empty, or an array of 1 to ${MOST_STOPS} of them`;
const stop = z
  .union(
    [stopText, z.array(z.unknown(), stopPhrase).max(MOST_STOPS, stopPhrase).pipe(z.array(stopText))],
    stopPhrase,
  )
  .transform((texts) => (typeof texts === "string" ? [texts] : texts));

const streamOptions = z.strictObject(
  {
    include_usage: flag.default(false),
    // Padding against traffic analysis: the answer is the same without.
    include_obfuscation: flag.optional(),
  },
  "an object with include_usage",
);

const MOST_CHOICES = 128;
const choices = listOf(
  text.min(1, "a string that is not empty"),
  `an array of 1 to ${MOST_CHOICES} strings`,
  MOST_CHOICES,
).refine((values) => new Set(values).size === values.length, "choices that differ from each other");

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const jsonSchema = z.custom<object>(isObject, "a JSON schema, an object");

const formatPhrase = '"text", "json_object" or "json_schema"';
const responseFormat = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("json_object") }),
    z.strictObject({
      type: z.literal("json_schema"),
      json_schema: z.strictObject(
        {
          schema: jsonSchema,
          // The answer keeps to the schema in any case, and no member reads its name.
          name: z.unknown().optional(),
          description: z.unknown().optional(),
          strict: z.unknown().optional(),
        },
        "an object with a schema",
      ),
    }),
  ],
  `an object whose type is ${formatPhrase}`,
);

const structuredOutputs = z.strictObject(
  {
    choice: choices.optional(),
    json: z.unknown().optional(),
    json_object: z.unknown().optional(),
    regex: z.unknown().optional(),
    grammar: z.unknown().optional(),
  },
  "an object with choice",
);

const demands = z.strictObject(
  {
    coverage: z
      .number("a number above 0 and below 1")
      .gt(0, "a number above 0 and below 1")
      .lt(1, "a number above 0 and below 1")
      .optional(),
    min_confidence: numberIn(0, 1).optional(),
  },
  "an object with coverage or min_confidence",
);

/** What both endpoints take. */
const shared = {
  model: z.string("the name of a model; GET /v1/models lists them"),
  /** Absent: 1, and for a choice 0. */
  temperature: numberIn(0, 2).optional(),
  top_p: numberIn(0, 1).default(1),
  // vLLM's clients send -1 for "off".
  top_k: integerIn(-1)
    .default(0)
    .transform((k) => Math.max(k, 0)),
  min_p: numberIn(0, 1).default(0),
  frequency_penalty: numberIn(-2, 2).default(0),
  presence_penalty: numberIn(-2, 2).default(0),
  logit_bias: logitBias.default(new Map<number, number>()),
  seed: integerIn(Number.MIN_SAFE_INTEGER).optional(),
  stop: stop.default([]),
  stream: flag.default(false),
  stream_options: streamOptions.optional(),
  response_format: responseFormat.optional(),
  structured_outputs: structuredOutputs.optional(),
  // What vLLM's clients sent before structured_outputs.
  guided_choice: choices.optional(),
  concord: demands.optional(),
};

const MOST_PARTS = 128;
const contentPhrase = `a string or an array of 1 to ${MOST_PARTS} text parts`;
const contentPart = z.strictObject(
  {
    type: z.literal("text", '"text", the only kind of part that the members read'),
    text,
    cache_control: z.unknown().optional(),
  },
  'an object {"type": "text", "text": …}',
);

/** Parts are joined by line breaks. */
const content = z
  .union([text, listOf(contentPart, contentPhrase, MOST_PARTS)], contentPhrase)
  .transform((parts) => (typeof parts === "string" ? parts : parts.map((part) => part.text).join("\n")));

const nothing = z.null("nothing here: tools, audio and refusals are not read").optional();
const message = z
  .strictObject(
    {
      role: z.enum(
        ["system", "developer", "user", "assistant"],
        '"system", "developer", "user" or "assistant"',
      ),
      content,
      // What SDKs copy from an earlier answer into the next request; no template of the members reads it.
      name: z.unknown().optional(),
      type: z.unknown().optional(),
      annotations: z.unknown().optional(),
      reasoning_content: z.unknown().optional(),
      refusal: nothing,
      audio: nothing,
      function_call: nothing,
      tool_calls: z
        .array(z.unknown(), "nothing here: tool calls are not read")
        .max(0, "nothing here: tool calls are not read")
        .nullish(),
    },
    "an object with role and content",
  )
  .transform((read): ChatMessage => ({
    role: read.role === "developer" ? "system" : read.role,
    content: read.content,
  }));

/** `POST /v1/chat/completions`. */
export const chatRequest = z.strictObject({
  ...shared,
  messages: listOf(message, `an array of 1 to ${MOST_ITEMS} messages`, MOST_ITEMS),
  max_tokens: integerIn(1).optional(),
  max_completion_tokens: integerIn(1).optional(),
  logprobs: flag.default(false),
  top_logprobs: integerIn(0, MOST_ALTERNATIVES).optional(),
});
export type ChatRequest = z.infer<typeof chatRequest>;

const MOST_PROMPTS = 256;
const promptPhrase = `a string, an array of token ids, or an array of 1 to ${MOST_PROMPTS} of either`;
const tokenPhrase = "a token id (a whole number, 0 or more)";
const isToken = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;

/** Read by hand: a prompt may hold millions of tokens, and one fault is enough to name. */
const prompts = z.unknown().transform((value, context): Prompt[] => {
  const refuse = (path: number[], expected: string): never[] => {
    context.issues.push({ code: "custom", input: value, path, message: expected });
    return [];
  };
  const readTokens = (tokens: readonly unknown[], base: number[]): Prompt[] => {
    if (tokens.every(isToken)) return [{ kind: "tokens", tokens }];
    return refuse([...base, tokens.findIndex((token) => !isToken(token))], tokenPhrase);
  };
  const readText = (prompt: string, base: number[]): Prompt[] =>
    isWellFormed(prompt) ? [{ kind: "text", text: prompt }] : refuse(base, wellFormedText);

  if (typeof value === "string") return readText(value, []);
  if (!Array.isArray(value) || value.length === 0) return refuse([], promptPhrase);
  if (typeof value[0] === "number") return readTokens(value, []);
  if (value.length > MOST_PROMPTS) return refuse([], promptPhrase);
  return value.flatMap((prompt: unknown, index) => {
    if (typeof prompt === "string") return readText(prompt, [index]);
    if (Array.isArray(prompt) && prompt.length > 0) return readTokens(prompt, [index]);
    return refuse([index], "a string or an array of token ids that is not empty");
  });
});

/** `POST /v1/completions`. */
export const completionRequest = z.strictObject({
  ...shared,
  prompt: prompts,
  /** Absent: 16, and for a choice as many as it takes. */
  max_tokens: integerIn(0).optional(),
  logprobs: integerIn(0, MOST_ALTERNATIVES).optional(),
  echo: flag.default(false),
});
export type CompletionRequest = z.infer<typeof completionRequest>;

const inputPhrase = `a string that is not empty, or an array of 1 to ${MOST_ITEMS} of them (token ids are not read)`;
const inputText = text.min(1, "a string that is not empty");

/** One text or several, none empty. */
export const inputTexts = z
  .union([inputText, listOf(inputText, inputPhrase, MOST_ITEMS)], inputPhrase)
  .transform((texts) => (typeof texts === "string" ? [texts] : texts));

/** `POST /v1/embeddings`. */
export const embeddingsRequest = z.strictObject({
  model: shared.model,
  input: inputTexts,
  encoding_format: z.enum(["float", "base64"], '"float" or "base64"').default("float"),
  dimensions: integerIn(1).optional(),
});
export type EmbeddingsRequest = z.infer<typeof embeddingsRequest>;

/** @param temperature where the request has none */
export function samplingOf(request: ChatRequest | CompletionRequest, temperature: number): SamplingOptions {
  return {
    temperature: request.temperature ?? temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    frequencyPenalty: request.frequency_penalty,
    presencePenalty: request.presence_penalty,
    logitBias: request.logit_bias,
    seed: request.seed ?? null,
  };
}

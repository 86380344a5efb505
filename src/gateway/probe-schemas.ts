import * as z from "zod";
import { GatewayError } from "../ports/gateway-error.ts";
import type { ExampleOutcomes } from "../ports/probes.ts";
import { flag, inputTexts, integerIn, listOf, text } from "./schemas.ts";

/** More would take the members hours to read. */
const MOST_EXAMPLES = 50_000;
const MOST_CLASSES = 1000;
const MOST_MEMBERS = 64;

const namePhrase =
  "a name of 1 to 64 letters, digits, dots, dashes and underscores that begins with a letter or digit";
export const probeName = z.string(namePhrase).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, namePhrase);

const memberNames = listOf(z.string("a member's name"), "an array of members' names", MOST_MEMBERS);
const labelPhrase = "a class (a string of 1 to 256 characters) or a finite number";
const example = z.strictObject(
  {
    text: text.min(1, "a string that is not empty"),
    label: z.union([text.min(1, labelPhrase).max(256, labelPhrase), z.number(labelPhrase)], labelPhrase),
  },
  "an object with text and label",
);

/** `POST /v1/probes`. */
export const probeRequest = z.strictObject({
  name: probeName,
  examples: listOf(example, `an array of 1 to ${MOST_EXAMPLES} examples`, MOST_EXAMPLES),
  members: memberNames.optional(),
  depth: z.enum(["middle", "deep"], '"middle" or "deep"').optional(),
  ridge: z.number("a number above 0").positive("a number above 0").optional(),
  stream: flag.default(false),
});
export type ProbeRequest = z.infer<typeof probeRequest>;

/** Strings are classes, numbers values. @throws GatewayError invalid_request for both in one request, or too many classes */
export function outcomesOf(examples: ProbeRequest["examples"]): ExampleOutcomes {
  const labels = examples.map(({ label }) => label);
  const task = typeof labels[0];
  const other = labels.findIndex((label) => typeof label !== task);
  if (other >= 0) {
    const message = `examples[${other}].label: expected a ${task} as in the examples before it, got a ${typeof labels[other]}: all are classes (strings) or all are values (numbers).`;
    throw new GatewayError("invalid_request", message, { param: `examples[${other}].label` });
  }
  const values = labels.filter((label) => typeof label === "number");
  if (values.length > 0) return { task: "regression", values };
  const classes = labels.filter((label) => typeof label === "string");
  const found = new Set(classes).size;
  if (found > MOST_CLASSES) {
    const message = `examples: expected at most ${MOST_CLASSES} classes, got ${found}. Send numbers, not strings, to learn a value.`;
    throw new GatewayError("invalid_request", message, { param: "examples" });
  }
  return { task: "classification", labels: classes };
}

const modelPhrase = 'the name of a probe, or "name@version"';

/** `POST /classify`. */
export const classifyRequest = z.strictObject({
  model: z
    .string(modelPhrase)
    .regex(/^[^@]+(@[1-9]\d{0,8})?$/, modelPhrase)
    .transform((model) => {
      const [name = "", version] = model.split("@");
      return { name, version: version === undefined ? undefined : Number(version) };
    }),
  input: inputTexts,
  concord: z.strictObject({ members: memberNames.optional() }, "an object with members").optional(),
});

/** What a path may be asked with. */
export const versionQuery = z.strictObject({
  version: z.coerce.number("a version").pipe(integerIn(1)).optional(),
});

import * as z from "zod";
import type { ExperimentDefinition, ExperimentPlan } from "../ports/experiments.ts";
import { probeName as plainName } from "./probe-schemas.ts";
import { flag, integerIn, listOf, text } from "./schemas.ts";

const MOST_ARMS = 16;
const MOST_METRICS = 16;
const MOST_TAGS = 16;
const MOST_TEXT = 65_536;

const positive = z.number("a number above 0").positive("a number above 0");
const weight = z.number("a number from 0").min(0, "a number from 0");
const bounds = z.tuple(
  [z.number("a lower bound"), z.number("an upper bound")],
  "an array of a lower and an upper bound",
);

const arm = z.strictObject(
  { name: plainName, model: z.string("the name of a model"), weight: weight.default(1) },
  "an object with name and model",
);

const better = z.enum(["higher", "lower"], '"higher" or "lower"').default("higher");
const metric = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ name: plainName, kind: z.literal("boolean"), better }),
    z.strictObject({ name: plainName, kind: z.literal("number"), better, bounds: bounds.optional() }),
  ],
  'an object with name and kind "boolean" or "number"',
);

const unitPhrase = '"request", "user" or "header:NAME"';
const unit = z
  .string(unitPhrase)
  .regex(/^(request|user|header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})$/, unitPhrase)
  .transform((value) => value as ExperimentDefinition["unit"]);

const share = z.number("a number above 0 and below 1").gt(0, "a number above 0 and below 1");

/** What an experiment is, as `POST /v1/experiments` and the configuration file tell it. */
const definitionFields = {
  name: plainName,
  description: text.max(2000, "a text of at most 2000 characters").default(""),
  mode: z.enum(["split", "paired_shadow"], '"split" or "paired_shadow"').default("split"),
  arms: listOf(arm, `an array of 2 to ${MOST_ARMS} arms`, MOST_ARMS).refine(
    ({ length }) => length >= 2,
    `an array of 2 to ${MOST_ARMS} arms`,
  ),
  /** Absent: the first arm. */
  control: plainName.optional(),
  assign_by: unit.default("request"),
  /** Absent: the name, so that another experiment deals the units anew. */
  salt: text.min(1, "a string that is not empty").max(256, "at most 256 characters").optional(),
  /** Absent: that of the arm that is assigned. */
  returned: z.string('"assigned" or the name of an arm').default("assigned"),
  default_for: z.string("the name of a model").optional(),
  metrics: listOf(metric, `an array of 1 to ${MOST_METRICS} metrics`, MOST_METRICS).optional(),
  alpha: share.lt(1, "a number above 0 and below 1").default(0.05),
  planned_units: integerIn(2, 1e9).default(5000),
  minimum_effect: positive.optional(),
};

export const experimentFields = z.strictObject({ ...definitionFields, start: flag.default(false) });
export type ExperimentFields = z.infer<typeof experimentFields>;

/** `PATCH /v1/experiments/:name`. Null takes the default route off. */
export const experimentChange = z.strictObject({
  description: definitionFields.description.optional(),
  weights: z.record(z.string(), weight, "an object from arms to weights").optional(),
  default_for: z.string("the name of a model, or null").nullable().optional(),
});

/** `POST /v1/experiments/:name/stop`. */
export const experimentStop = z.strictObject({ winner: plainName.optional() });

/** `GET /v1/experiments/:name/observations`. */
export const observationsQuery = z.strictObject({
  metric: plainName.optional(),
  format: z.enum(["json", "csv"], '"json" or "csv"').default("json"),
});

/** `GET /v1/experiments/:name/analysis`. */
export const analysisQuery = z.strictObject({ metric: plainName.optional() });

export function definitionOf(fields: ExperimentFields): ExperimentDefinition {
  const { name, description, mode, arms, assign_by: unitOf, alpha } = fields;
  const [first, ...others] = (fields.metrics ?? [correct]).map(metricOf);
  const plan: ExperimentPlan = {
    alpha,
    units: fields.planned_units,
    minimumEffect: fields.minimum_effect ?? null,
  };
  return {
    name,
    description,
    mode,
    arms,
    control: fields.control ?? arms[0]?.name ?? "",
    unit: unitOf,
    salt: fields.salt ?? name,
    returned: fields.returned === "assigned" ? "assigned" : { arm: fields.returned },
    defaultFor: fields.default_for ?? null,
    metrics: [first ?? metricOf(correct), ...others],
    plan,
  };
}

const correct = { name: "correct", kind: "boolean", better: "higher" } as const;

function metricOf(fields: z.infer<typeof metric>): ExperimentDefinition["metrics"][number] {
  const { name, kind, better: direction } = fields;
  const range = kind === "boolean" ? ([0, 1] as const) : (fields.bounds ?? null);
  return { name, kind, bounds: range, better: direction };
}

const aboutPhrase = "a string that is not empty";
const about = text.min(1, aboutPhrase).max(512, "a string of at most 512 characters");

/** `POST /feedback`. */
export const feedbackFields = z.strictObject({
  metric_name: plainName,
  value: z.union(
    [z.boolean(), z.number(), text.max(MOST_TEXT, `a text of at most ${MOST_TEXT} characters`)],
    "true, false, a number or a text",
  ),
  request_id: about.optional(),
  user: about.optional(),
  id: about.optional(),
  tags: z
    .record(z.string().max(64), text.max(256, "a string of at most 256 characters"), "an object of strings")
    .refine((tags) => Object.keys(tags).length <= MOST_TAGS, `an object of at most ${MOST_TAGS} strings`)
    .default({}),
  dryrun: flag.default(false),
});

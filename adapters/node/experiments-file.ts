import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import type { Experiments } from "../../src/experiments/experiments.ts";
import {
  definitionOf,
  experimentFields,
  type ExperimentFields,
} from "../../src/gateway/experiment-schemas.ts";
import { readFields } from "../../src/gateway/invalid-field.ts";
import type { Experiment, ExperimentDefinition } from "../../src/ports/experiments.ts";
import type { Variant } from "./open-variant.ts";

/** What `serve --experiments` reads: further models, and experiments on any. */
export interface ExperimentsFile {
  readonly path: string;
  readonly models: readonly Variant[];
  readonly experiments: readonly ExperimentFields[];
}

const modelId = "letters, digits, dots, dashes and underscores";
const fileSchema = z.strictObject(
  {
    models: z
      .array(
        z.strictObject(
          {
            id: z.string(modelId).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, modelId),
            map: z.string("the path of a map").min(1, "the path of a map"),
            calibration: z.string("the path of a calibration").min(1, "the path of a calibration").optional(),
          },
          "an object with id and map",
        ),
        "an array of models",
      )
      .default([]),
    experiments: z.array(experimentFields, "an array of experiments").default([]),
  },
  "an object with experiments",
);

/** Paths in it are relative to the file. @throws Error naming the file and the field at fault */
export async function readExperimentsFile(path: string): Promise<ExperimentsFile> {
  try {
    const parsed: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      throw new Error("expected a JSON object with experiments");
    }
    const { models, experiments } = readFields(fileSchema, { ...parsed });
    const from = (file: string): string => resolve(dirname(path), file);
    return {
      path,
      experiments,
      models: models.map(({ id, map, calibration }): Variant => ({
        id,
        map: from(map),
        calibration: calibration === undefined ? undefined : from(calibration),
      })),
    };
  } catch (error) {
    throw failure(path, error);
  }
}

/**
 * Creates what is not there yet and starts what the file says to start. Of an experiment that is there, description,
 * weights and the default route become the file's; anything else would make its samples those of another experiment.
 * @throws Error naming the file and the experiment
 */
export async function applyExperimentsFile(
  experiments: Experiments,
  { path, experiments: wanted }: ExperimentsFile,
): Promise<void> {
  for (const fields of wanted) {
    try {
      await applyOne(experiments, fields);
    } catch (error) {
      throw failure(`${path}: ${fields.name}`, error);
    }
  }
}

async function applyOne(experiments: Experiments, fields: ExperimentFields): Promise<void> {
  const { name, start } = fields;
  const definition = definitionOf(fields);
  const there = (await experiments.list()).find((one) => one.name === name);
  if (there === undefined) {
    await experiments.create(definition);
  } else {
    const changed = fieldsApart(there, definition);
    if (changed.length > 0) {
      throw new Error(
        `${changed.join(", ")} cannot be changed once the experiment is there: give the new one another name`,
      );
    }
    if (there.state === "stopped") return;
    const weights = weightsOf(definition);
    await experiments.change(name, {
      description: definition.description,
      defaultFor: definition.defaultFor,
      ...(JSON.stringify(weights) === JSON.stringify(weightsOf(there)) ? {} : { weights }),
    });
  }
  if (start && there?.state !== "paused") await experiments.start(name);
}

/** What of an experiment is not as it is defined, and must not change. */
function fieldsApart(there: Experiment, definition: ExperimentDefinition): string[] {
  const own = new Map<string, unknown>(Object.entries(fixed(there)));
  return Object.entries(fixed(definition)).flatMap(([field, value]) =>
    JSON.stringify(own.get(field)) === JSON.stringify(value) ? [] : [field],
  );
}

/** What makes an experiment's samples comparable with each other. */
function fixed({ description: _description, defaultFor: _route, arms, ...rest }: ExperimentDefinition) {
  return { ...rest, arms: arms.map(({ name, model }) => ({ name, model })) };
}

function weightsOf({ arms }: Pick<ExperimentDefinition, "arms">): Record<string, number> {
  return Object.fromEntries(arms.map(({ name, weight }) => [name, weight]));
}

function failure(what: string, error: unknown): Error {
  return new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

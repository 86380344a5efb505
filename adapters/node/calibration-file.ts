import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { ChoiceDecider, ChoiceKind } from "../../src/ensemble/choice-calibration.ts";
import type { ConfidenceBook } from "../../src/ensemble/confidence.ts";
import type { Likeness } from "../../src/ensemble/likeness.ts";
import type { AnswerJudge, AnswerKind } from "../../src/ensemble/short-answers.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import { float16ToFloat32, float32ToFloat16 } from "../../src/weights/float16.ts";
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from "../../src/weights/safetensors.ts";
import { writeWhole } from "./write-whole.ts";

/** Raise it when the file's tensors or their meaning change: older files are then refused. */
export const CALIBRATION_VERSION = 2;

const number = z.number();
const confidenceSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("identity") }),
  z.object({ kind: z.literal("temperature"), temperature: number.positive() }),
  z.object({ kind: z.literal("beta"), a: number, b: number, c: number }),
  z.object({ kind: z.literal("isotonic"), x: z.array(number).min(1), y: z.array(number).min(1) }),
]);
const memberIds = z.array(z.string()).min(1);
const likenessSchema = z.object({ variances: z.array(number.positive()), residual: number.positive() });
const deciderSchema = z.object({
  memberIds,
  items: z.int(),
  form: z.object({ logprobRidge: number, stateRidge: number.nullable() }),
  logprobWeights: z.array(number),
  calibration: confidenceSchema,
  likeness: likenessSchema,
  recalibratedOn: z.int().optional(),
});
const judgeSchema = z.object({
  memberIds,
  weights: z.array(number).min(2),
  calibration: confidenceSchema,
  likeness: likenessSchema,
  recalibratedOn: z.int().optional(),
});

/** How a calibration came about, kept with it, and of it what is not in tensors. */
const recordSchema = z.object({
  version: z.int(),
  seed: z.int(),
  /** The anchor first. */
  members: z.array(z.object({ id: z.string(), weightsHash: z.string(), width: z.int().positive() })).min(1),
  /** sha256 of the files whose items were used, by name. */
  sources: z.record(z.string(), z.string()),
  choices: z.array(
    z.object({
      name: z.string(),
      items: z.int(),
      form: z.enum(["text", "chat"]),
      counts: z.array(z.int().min(2)).min(1),
      deciders: z.array(deciderSchema),
    }),
  ),
  answers: z.array(
    z.object({
      name: z.string(),
      fitted: z.int(),
      calibrated: z.int(),
      space: z.string().nullable(),
      judges: z.array(judgeSchema),
    }),
  ),
});

export type CalibrationRecord = z.infer<typeof recordSchema>;

export interface CalibrationFile {
  readonly book: ConfidenceBook;
  readonly record: CalibrationRecord;
}

export interface CalibrationSource {
  readonly seed: number;
  readonly members: readonly Pick<ModelInfo, "id" | "weightsHash" | "width">[];
  readonly sources: Readonly<Record<string, string>>;
}

export async function writeCalibration(
  path: string,
  { choices, answers }: ConfidenceBook,
  { seed, members, sources }: CalibrationSource,
): Promise<void> {
  const tensors = new Map<string, SafeTensor>();
  const record: CalibrationRecord = {
    version: CALIBRATION_VERSION,
    seed,
    members: members.map(({ id, weightsHash, width }) => ({ id, weightsHash, width })),
    sources: { ...sources },
    choices: choices.map((kind, k) => ({
      name: kind.name,
      items: kind.items,
      form: kind.form,
      counts: [...kind.counts],
      deciders: kind.deciders.map((decider, d) => recordDecider(tensors, `choices.${k}.${d}`, decider)),
    })),
    answers: answers.map((kind, k) => ({
      name: kind.name,
      fitted: kind.fitted,
      calibrated: kind.calibrated,
      space: kind.space,
      judges: kind.judges.map(({ memberIds: ids, weights, calibration, likeness, recalibratedOn }, j) => ({
        memberIds: [...ids],
        recalibratedOn,
        weights: [...weights],
        calibration: confidenceSchema.parse(calibration),
        likeness: recordLikeness(tensors, `answers.${k}.${j}`, likeness),
      })),
    })),
  };
  await writeWhole(path, encodeSafetensors(tensors, new Map([["concord", JSON.stringify(record)]])));
}

/** @throws Error when the file is no calibration, or one of another version */
export async function readCalibration(path: string): Promise<CalibrationFile> {
  const bytes = await readFile(path);
  try {
    const { tensors, metadata } = decodeSafetensors(bytes);
    const record = recordSchema.parse(JSON.parse(metadata.get("concord") ?? "null"));
    if (record.version !== CALIBRATION_VERSION) {
      throw new Error(`expected version ${CALIBRATION_VERSION}, got ${record.version}`);
    }
    const choices = record.choices.map(({ deciders, ...kind }, k): ChoiceKind => ({
      ...kind,
      deciders: deciders.map((decider, d) => deciderFrom(tensors, `choices.${k}.${d}`, decider)),
    }));
    const answers = record.answers.map(({ judges, ...kind }, k): AnswerKind => ({
      ...kind,
      judges: judges.map(({ likeness, ...judge }, j): AnswerJudge => ({
        ...judge,
        likeness: likenessFrom(tensors, `answers.${k}.${j}`, likeness),
      })),
    }));
    return { book: { choices, answers }, record };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} is no usable calibration: ${reason}. Make a new one: concord calibrate`, {
      cause: error,
    });
  }
}

/**
 * What of a calibration holds for these members and this map: deciders and judges of members with exactly the weights
 * that were calibrated, and fused answers by exactly the map that was.
 * @param space sha256 of the map in use
 */
export function applicable(
  { book, record }: CalibrationFile,
  members: readonly ModelInfo[],
  space: string,
): ConfidenceBook {
  const same = new Set(
    record.members.flatMap(({ id, weightsHash }) =>
      members.some((info) => info.id === id && info.weightsHash === weightsHash) ? [id] : [],
    ),
  );
  const known = (ids: readonly string[]): boolean => ids.every((id) => same.has(id));
  return {
    choices: book.choices.map((kind) => ({
      ...kind,
      deciders: kind.deciders.filter(({ head }) => known(head.memberIds)),
    })),
    answers: book.answers.map((kind) => ({
      ...kind,
      judges: kind.judges.filter(
        ({ memberIds: ids }) => known(ids) && (ids.length === 1 || kind.space === space),
      ),
    })),
  };
}

function recordDecider(
  tensors: Map<string, SafeTensor>,
  name: string,
  { head, calibration, conformal, likeness, recalibratedOn }: ChoiceDecider,
): z.infer<typeof deciderSchema> {
  for (const [m, weights] of head.stateWeights.entries()) {
    tensors.set(`${name}.states.${m}`, vector(Float32Array.from(weights)));
  }
  tensors.set(`${name}.conformal`, vector(Float32Array.from(conformal.calibrationScores)));
  return {
    memberIds: [...head.memberIds],
    recalibratedOn,
    items: head.items,
    form: head.form,
    logprobWeights: [...head.logprobWeights],
    calibration: confidenceSchema.parse(calibration),
    likeness: recordLikeness(tensors, name, likeness),
  };
}

function deciderFrom(
  tensors: ReadonlyMap<string, SafeTensor>,
  name: string,
  {
    memberIds: ids,
    items,
    form,
    logprobWeights,
    calibration,
    likeness,
    recalibratedOn,
  }: z.infer<typeof deciderSchema>,
): ChoiceDecider {
  return {
    head: {
      memberIds: ids,
      items,
      form,
      logprobWeights,
      stateWeights:
        form.stateRidge === null
          ? []
          : ids.map((_, m) => Array.from(numbers(tensors, `${name}.states.${m}`))),
    },
    calibration,
    conformal: {
      score: { kind: "lac" },
      calibrationScores: Array.from(numbers(tensors, `${name}.conformal`)),
    },
    likeness: likenessFrom(tensors, name, likeness),
    recalibratedOn,
  };
}

function recordLikeness(
  tensors: Map<string, SafeTensor>,
  name: string,
  { mean, scale, directions, variances, residual, scores }: Likeness,
): z.infer<typeof likenessSchema> {
  tensors.set(`${name}.likeness.mean`, vector(mean));
  tensors.set(`${name}.likeness.scale`, vector(scale));
  tensors.set(`${name}.likeness.scores`, vector(Float32Array.from(scores)));
  const data = float32ToFloat16(directions);
  tensors.set(`${name}.likeness.directions`, { dtype: "F16", shape: [data.length], data });
  return { variances: [...variances], residual };
}

function likenessFrom(
  tensors: ReadonlyMap<string, SafeTensor>,
  name: string,
  { variances, residual }: z.infer<typeof likenessSchema>,
): Likeness {
  return {
    mean: numbers(tensors, `${name}.likeness.mean`),
    scale: numbers(tensors, `${name}.likeness.scale`),
    directions: numbers(tensors, `${name}.likeness.directions`),
    variances,
    residual,
    scores: Array.from(numbers(tensors, `${name}.likeness.scores`)),
  };
}

function vector(data: Float32Array): SafeTensor {
  return { dtype: "F32", shape: [data.length], data };
}

function numbers(tensors: ReadonlyMap<string, SafeTensor>, name: string): Float32Array {
  const tensor = tensors.get(name);
  if (tensor === undefined || tensor.dtype === "I32" || tensor.dtype === "I8")
    throw new Error(`expected numbers ${name}, got none`);
  const values = tensor.dtype === "F16" ? float16ToFloat32(tensor.data) : tensor.data;
  if (!values.every(Number.isFinite)) throw new Error(`${name} holds numbers that are not finite`);
  return values;
}

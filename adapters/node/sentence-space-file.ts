import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { SentenceMap, SentenceSpace } from "../../src/alignment/sentence-space.ts";
import type { SpaceDepth } from "../../src/ports/sentence-encoders.ts";
import { float32ToFloat16 } from "../../src/weights/float16.ts";
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from "../../src/weights/safetensors.ts";
import { numbers } from "./space-file.ts";
import { writeWhole } from "./write-whole.ts";

/** Raise it when the file's tensors or their meaning change: older files are then refused. */
export const SENTENCE_SPACE_VERSION = 1;

const counts = z.object({ fit: z.int(), report: z.int() });
const share = z.number().min(0).max(1);

/** How a sentence space came about, kept with it. */
const recordSchema = z.object({
  version: z.literal(SENTENCE_SPACE_VERSION),
  dimension: z.int().positive(),
  seed: z.int(),
  ridge: z.number().positive(),
  components: z.int().positive(),
  members: z.array(z.object({ id: z.string(), weightsHash: z.string(), width: z.int().positive() })).min(1),
  depths: z
    .array(
      z.object({
        name: z.enum(["middle", "deep"]),
        /** Of each member. */
        layers: z.array(z.int().nonnegative()),
        /** ρ (r): how many members have each direction. */
        agreement: z.array(z.number()),
        /**
         * Retrieval@1 on sentences of documents held back, over all pairs of members. Null for one member.
         */
        heldOut: z.object({ mean: share, least: share }).nullable(),
      }),
    )
    .min(1),
  corpus: z.object({ name: z.string(), sha256: z.string(), sentences: counts }),
});

export type SentenceSpaceRecord = z.infer<typeof recordSchema>;

export type SentenceSpaces = ReadonlyMap<SpaceDepth, SentenceSpace>;

/** Writes a space for each depth of the record, the maps in half precision. */
export async function writeSentenceSpaces(
  path: string,
  spaces: SentenceSpaces,
  record: SentenceSpaceRecord,
): Promise<void> {
  const tensors = new Map<string, SafeTensor>();
  for (const [depth, { dimension, maps }] of spaces) {
    for (const { id, mean, scale, projection } of maps) {
      const shape = [mean.length, dimension];
      const data = float32ToFloat16(projection);
      tensors.set(`${depth}.${id}.projection`, { dtype: "F16", shape, data });
      tensors.set(`${depth}.${id}.mean`, { dtype: "F32", shape: [mean.length], data: mean });
      tensors.set(`${depth}.${id}.scale`, { dtype: "F32", shape: [scale.length], data: scale });
    }
  }
  await writeWhole(path, encodeSafetensors(tensors, new Map([["concord", JSON.stringify(record)]])));
}

export interface SentenceSpaceFile {
  readonly spaces: SentenceSpaces;
  readonly record: SentenceSpaceRecord;
  /** sha256 of the file, hex. */
  readonly identity: string;
}

/** @throws Error when the file is not a sentence space, or one of another version */
export async function readSentenceSpaces(path: string): Promise<SentenceSpaceFile> {
  const bytes = await readFile(path);
  try {
    const { tensors, metadata } = decodeSafetensors(bytes);
    const record = recordSchema.parse(JSON.parse(metadata.get("concord") ?? "null"));
    const { dimension, members } = record;
    const spaces = new Map(
      record.depths.map(({ name, layers, agreement }) => {
        const maps = members.map(({ id, width }, m): SentenceMap => ({
          id,
          layer: layers[m] ?? 0,
          mean: numbers(tensors, `${name}.${id}.mean`, [width]),
          scale: numbers(tensors, `${name}.${id}.scale`, [width]),
          projection: numbers(tensors, `${name}.${id}.projection`, [width, dimension]),
        }));
        return [name, { dimension, maps, agreement: Float64Array.from(agreement) }] as const;
      }),
    );
    return { spaces, record, identity: createHash("sha256").update(bytes).digest("hex") };
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new Error(`${path} is no usable sentence map: ${reason}. Fit a new one: concord fit sentences`, {
      cause: error,
    });
  }
}

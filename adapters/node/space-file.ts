import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { GATE_CORNERS } from "../../src/alignment/gate.ts";
import type { OwnTokens, SharedMember, SharedSpace } from "../../src/alignment/shared-space.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import { float16ToFloat32, float32ToFloat16 } from "../../src/weights/float16.ts";
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from "../../src/weights/safetensors.ts";
import { writeWhole } from "./write-whole.ts";

/** Raise it when the file's tensors or their meaning change: older files are then refused. */
export const SPACE_VERSION = 3;

const scoreSchema = z.object({
  domain: z.string().default("text"),
  name: z.string(),
  vocabulary: z.string(),
  tokens: z.int(),
  bytes: z.int(),
  nats: z.number().nullable(),
  bitsPerByte: z.number().nullable(),
});

/** θ, see gate.ts. */
const gateSchema = z.array(z.array(z.number().nonnegative()).readonly()).length(GATE_CORNERS).readonly();

/** How a shared space came about, kept with it. */
const recordSchema = z
  .object({
    version: z.int(),
    dimension: z.int().positive(),
    seed: z.int(),
    eigenvalueFloor: z.number(),
    /** The anchor first. */
    members: z
      .array(
        z.object({
          id: z.string(),
          weightsHash: z.string(),
          width: z.int().positive(),
          weight: z.number().nonnegative(),
          /** Tokens of its own that have rows in the decoder. */
          ownTokens: z.int().nonnegative(),
        }),
      )
      .min(1),
    gates: z.object({ text: gateSchema, chat: gateSchema }),
    corpus: z.object({
      name: z.string(),
      sha256: z.string(),
      fitDocuments: z.int(),
      fitTokens: z.int(),
      /** Positions of the fit documents that the closed-form maps were refined on; 0 for none. */
      refinedPositions: z.int().default(0),
      chooseDocuments: z.int(),
      choosePositions: z.int(),
      reportDocuments: z.int(),
    }),
    /** When one follower answers a plain text alone, found on choose documents; none: always fused. */
    routes: z
      .array(z.object({ member: z.string(), ratio: z.number().positive(), share: z.number().gt(0).lt(1) }))
      .default([]),
    /** Share of the weighted logit variance that the dimensions carry. */
    explainedVariance: z.number(),
    /** Measured on the report documents, which neither maps nor weights have seen. */
    heldOut: z.array(scoreSchema),
  })
  .refine(
    ({ members, routes }) => routes.every(({ member }) => members.slice(1).some(({ id }) => id === member)),
    "expected routes to followers alone",
  )
  .refine(
    ({ members, gates }) =>
      [...gates.text, ...gates.chat].every((shares) => shares.length === members.length + 1),
    "expected gates with a share for each member and one for the pool",
  );

export type SpaceRecord = z.infer<typeof recordSchema>;

export interface SpaceFile {
  readonly space: SharedSpace;
  readonly record: SpaceRecord;
}

/** The space as it will be read back: its factors and row biases rounded to half precision, its projections to 8 bits. */
export function asStored(space: SharedSpace, record: SpaceRecord): SharedSpace {
  return spaceOf(tensorsOf(space), record);
}

/** What decides a space's decoder matrix, sha256 in hex: the factors, their centre, and the rows they multiply. */
export function decoderHash(space: SharedSpace, members: readonly ModelInfo[]): string {
  const hash = createHash("sha256").update(space.decoderCentre);
  for (const { factor, own } of space.members) hash.update(factor).update(own.ids);
  for (const { weightsHash } of members) hash.update(weightsHash);
  return hash.digest("hex");
}

export async function writeSpace(path: string, space: SharedSpace, record: SpaceRecord): Promise<void> {
  const bytes = encodeSafetensors(tensorsOf(space), new Map([["concord", JSON.stringify(record)]]));
  await writeWhole(path, bytes);
}

/** @throws Error when the file is not a shared space, or one of another version */
export async function readSpace(path: string): Promise<SpaceFile> {
  const bytes = await readFile(path);
  try {
    const { tensors, metadata } = decodeSafetensors(bytes);
    const record = parseRecord(metadata.get("concord"));
    return { space: spaceOf(tensors, record), record };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} is no usable map: ${reason}. Fit a new one: concord fit`, { cause: error });
  }
}

/**
 * A map belongs to exactly the weights it was fitted on.
 * @throws Error naming the first member that differs
 */
export function checkMembers(path: string, record: SpaceRecord, members: readonly ModelInfo[]): void {
  const expected = record.members.map(({ id, weightsHash }) => `${id} (sha256 ${weightsHash.slice(0, 12)}…)`);
  const found = members.map(({ id, weightsHash }) => `${id} (sha256 ${weightsHash.slice(0, 12)}…)`);
  if (expected.join() === found.join()) return;
  throw new Error(
    `${path} was fitted for ${expected.join(", ")}, but the members here are ${found.join(", ")}. ` +
      "Fit a map for them: concord fit",
  );
}

function parseRecord(text: string | undefined): SpaceRecord {
  if (text === undefined) throw new Error("it has no fit record");
  const json: unknown = JSON.parse(text);
  const version = z.object({ version: z.int() }).parse(json).version;
  if (version !== SPACE_VERSION) throw new Error(`expected version ${SPACE_VERSION}, got ${version}`);
  return recordSchema.parse(json);
}

function tensorsOf(space: SharedSpace): Map<string, SafeTensor> {
  const { dimension: k } = space;
  const tensors = new Map<string, SafeTensor>([
    ["decoder_centre", { dtype: "F32", shape: [k], data: space.decoderCentre }],
  ]);
  for (const [m, { id, width, projection, offset, factor, rowBias, own }] of space.members.entries()) {
    const { data, scale } = inEightBits(projection, k);
    tensors.set(`${id}.projection`, { dtype: "I8", shape: [width, k], data });
    tensors.set(`${id}.projection_scale`, { dtype: "F32", shape: [k], data: scale });
    tensors.set(`${id}.factor`, { dtype: "F16", shape: [width, k], data: float32ToFloat16(factor) });
    tensors.set(`${id}.offset`, { dtype: "F32", shape: [k], data: offset });
    tensors.set(`${id}.row_bias`, { dtype: "F16", shape: [rowBias.length], data: float32ToFloat16(rowBias) });
    if (m === 0) continue;
    for (const [name, tokenIds] of Object.entries({ ids: own.ids, begins: own.begins, hosts: own.hosts })) {
      tensors.set(`${id}.own_${name}`, { dtype: "I32", shape: [tokenIds.length], data: tokenIds });
    }
  }
  return tensors;
}

function spaceOf(tensors: ReadonlyMap<string, SafeTensor>, record: SpaceRecord): SharedSpace {
  const { dimension, gates } = record;
  const rows = numbers(tensors, `${record.members[0]?.id}.row_bias`, [null]).length;
  const vocabularySize = record.members.reduce((size, { ownTokens }) => size - ownTokens, rows);
  let firstRow = vocabularySize;
  const members = record.members.map(({ id, width, weight, ownTokens: count }, m): SharedMember => {
    const own: OwnTokens = {
      ...(m === 0
        ? { ids: NO_TOKENS, begins: NO_TOKENS, hosts: new Int32Array(vocabularySize).fill(-1) }
        : {
            ids: tokens(tensors, `${id}.own_ids`, count),
            begins: tokens(tensors, `${id}.own_begins`, count),
            hosts: tokens(tensors, `${id}.own_hosts`, vocabularySize),
          }),
      firstRow,
    };
    firstRow += count;
    return {
      id,
      width,
      weight,
      own,
      projection: fromEightBits(
        tensors.get(`${id}.projection`),
        numbers(tensors, `${id}.projection_scale`, [dimension]),
        [width, dimension],
      ),
      factor: numbers(tensors, `${id}.factor`, [width, dimension]),
      offset: numbers(tensors, `${id}.offset`, [dimension]),
      rowBias: numbers(tensors, `${id}.row_bias`, [rows]),
    };
  });
  const decoderCentre = numbers(tensors, "decoder_centre", [dimension]);
  return { dimension, vocabularySize, decoderCentre, members, gates };
}

/**
 * A matrix (n, k) in 8 bits with a scale for each column, x ≈ data · scale: as far off as the decoder's own 8 bits make it,
 * .0008 nats of Kullback–Leibler divergence, and half as large as in half precision.
 */
function inEightBits(matrix: Float32Array, k: number): { data: Int8Array; scale: Float32Array } {
  const scale = new Float32Array(k);
  for (const [at, x] of matrix.entries()) scale[at % k] = Math.max(scale[at % k]!, Math.abs(x) / 127);
  const data = Int8Array.from(matrix, (x, at) => (scale[at % k]! > 0 ? Math.round(x / scale[at % k]!) : 0));
  return { data, scale };
}

function fromEightBits(
  tensor: SafeTensor | undefined,
  scale: Float32Array,
  [width, k]: readonly [number, number],
): Float32Array {
  if (tensor?.dtype !== "I8" || tensor.shape.join() !== `${width},${k}`) {
    throw new Error(
      `expected a projection (${width}, ${k}) in 8 bits, got ${tensor ? `(${tensor.shape.join(", ")}) in ${tensor.dtype}` : "none"}`,
    );
  }
  return Float32Array.from(tensor.data, (x, at) => x * scale[at % k]!);
}

const NO_TOKENS = new Int32Array(0);

function tokens(tensors: ReadonlyMap<string, SafeTensor>, name: string, count: number): Int32Array {
  const data = tensors.get(name)?.data;
  if (data instanceof Int32Array && data.length === count) return data;
  throw new Error(`expected ${count} whole numbers ${name}, got ${data?.length ?? "none"}`);
}

/** A tensor as float32. @param shape null for any extent */
export function numbers(
  tensors: ReadonlyMap<string, SafeTensor>,
  name: string,
  shape: readonly (number | null)[],
): Float32Array {
  const tensor = tensors.get(name);
  const fits =
    tensor?.shape.length === shape.length &&
    shape.every((extent, i) => extent === null || extent === tensor.shape[i]);
  if (!fits || tensor.dtype === "I32" || tensor.dtype === "I8") {
    const wanted = shape.map((extent) => extent ?? "any").join(", ");
    throw new Error(
      `expected numbers ${name} (${wanted}), got ${tensor ? `(${tensor.shape.join(", ")})` : "none"}`,
    );
  }
  const values = tensor.dtype === "F16" ? float16ToFloat32(tensor.data) : tensor.data;
  if (!values.every(Number.isFinite)) throw new Error(`${name} holds numbers that are not finite`);
  return values;
}

import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPlainGraph, PLAIN_PORTS } from "../../bench/engine/plain-graph.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import { createTinyWeights } from "../weights/tiny-weights.ts";

let folder: string;
let session: InferenceSession;
let shape: ModelShape;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-plain-"));
  const file = await open(join(folder, "weights.bin"), "w");
  const built = await buildPlainGraph(createTinyWeights(), "weights.bin", (bytes) => file.writeFile(bytes));
  await file.close();
  shape = built.shape;
  await writeFile(join(folder, "plain.onnx"), built.graph);
  session = await InferenceSession.create(join(folder, "plain.onnx"), { intraOpNumThreads: 1 });
});

afterAll(async () => {
  await session.release();
  await rm(folder, { recursive: true, force: true });
});

/** Logits after tokens that are read in the given parts. */
async function read(parts: readonly (readonly number[])[]): Promise<Float32Array> {
  const { kvHeads, headSize } = shape;
  const names = Array.from({ length: shape.layers }, (_, layer) =>
    (["key", "value"] as const).map((part) => [part, layer] as const),
  ).flat();
  let past: Tensor[] = names.map(() => new Tensor("float32", new Float32Array(0), [1, kvHeads, 0, headSize]));
  let logits = new Float32Array(0);
  for (const tokens of parts) {
    const feeds: Record<string, Tensor> = {
      [PLAIN_PORTS.tokens]: new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
    };
    names.forEach((name, at) => {
      const own = past[at];
      if (own !== undefined) feeds[PLAIN_PORTS.past(...name)] = own;
    });
    const results = await session.run(feeds);
    logits = results[PLAIN_PORTS.logits]?.data as Float32Array<ArrayBuffer>;
    past = names.flatMap((name) => results[PLAIN_PORTS.present(...name)] ?? []);
  }
  return logits;
}

test("tokens read one by one through the cache give the logits of all at once", async () => {
  const whole = await read([[3, 7, 11, 2, 30]]);
  const parts = await read([[3, 7], [11], [2], [30]]);
  expect(whole).toHaveLength(shape.vocabularySize);
  const largest = Math.max(...whole.map(Math.abs));
  for (const [token, value] of whole.entries()) {
    expect(Math.abs(value - (parts[token] ?? 0))).toBeLessThan(1e-3 * largest);
  }
});

test("what came before the last token counts", async () => {
  expect(await read([[3, 7, 11]])).not.toStrictEqual(await read([[4, 7, 11]]));
});

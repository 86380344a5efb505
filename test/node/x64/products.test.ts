import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nativeTensor, openNativeSession } from "../../../adapters/node/native-session.ts";
import { PANEL_ROWS } from "../../../adapters/node/x64/product-layout.ts";
import { openNativeGraph } from "../../../adapters/node/x64/native-graph.ts";
import { hasOperators } from "../../../adapters/node/x64/operator.ts";
import { createRandom } from "../../../src/linalg/random.ts";
import { GRAPH_PORTS } from "../../../src/weights/graph-ports.ts";
import { buildLinearDecoder } from "../../../src/weights/head.ts";

const WIDTH = 96;
/** No multiple of a tile's 32. */
const OUTPUTS = 1_003;

let folder = "";
let path = "";
const random = createRandom(3);
const matrix = Float32Array.from({ length: OUTPUTS * WIDTH }, () => random.normal());

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-products-"));
  path = join(folder, "head.onnx");
  const parts: Uint8Array[] = [];
  const graph = await buildLinearDecoder(
    {
      vocabularySize: OUTPUTS,
      width: WIDTH,
      rows: (first, count) => matrix.slice(first * WIDTH, (first + count) * WIDTH),
      bias: null,
    },
    "weights.bin",
    async (bytes) => void parts.push(bytes.slice()),
  );
  await writeFile(path, graph);
  await writeFile(join(folder, "weights.bin"), Buffer.concat(parts));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a graph's products with 8-bit weights", () => {
  test.runIf(hasOperators())("are operators of ours, without the weights that they have packed", () => {
    const products = openNativeGraph(path, 1, () => 0n);
    expect(products?.operators).toHaveLength(1);
    expect(products?.model.length).toBeLessThan(1_000);
    products?.release();
  });

  test.each([
    [1, 1],
    [1, 2],
    [7, 1],
    [7, 3],
    [PANEL_ROWS + 41, 1],
    [PANEL_ROWS + 41, 2],
  ])("of %i rows on %i threads are those of onnxruntime's own operator", async (rows, threads) => {
    const states = Float32Array.from({ length: rows * WIDTH }, () => random.normal());
    const own = await InferenceSession.create(path, { executionProviders: ["cpu"] });
    const { [GRAPH_PORTS.logits]: right } = await own.run({
      [GRAPH_PORTS.states]: new Tensor("float32", states, [rows, WIDTH]),
    });
    await own.release();

    const session = openNativeSession({ path, threads, provider: "cpu" });
    const logits = new Float32Array(new ArrayBuffer(4 * rows * OUTPUTS));
    const input = nativeTensor(states, [rows, WIDTH]);
    const output = nativeTensor(logits, [rows, OUTPUTS]);
    for (let again = 0; again < 2; again++) {
      logits.fill(0);
      session.run(new Map([[GRAPH_PORTS.states, input]]), new Map([[GRAPH_PORTS.logits, output]]));
      const worst = logits.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (right!.data as Float32Array)[i]!)),
        0,
      );
      // Numbers of a size around √96; where x lies between two codes the two may round apart.
      expect(worst).toBeLessThan(0.1);
    }
    for (const tensor of [input, output]) tensor.release();
    session.release();
  });
});

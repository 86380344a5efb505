import onnxProto, { type onnx } from "onnx-proto";
import { expect, test } from "vitest";
import { buildModelGraphs, type ModelGraphs } from "../../src/weights/model-graphs.ts";
import { createTinyWeights, type TinyWeightsOptions } from "./tiny-weights.ts";

interface Built extends ModelGraphs {
  readonly dataBytes: number;
  readonly progress: readonly number[];
}

async function build(options?: TinyWeightsOptions, lowBits = false): Promise<Built> {
  let dataBytes = 0;
  const progress: number[] = [];
  const graphs = await buildModelGraphs(createTinyWeights(options), {
    location: "weights.bin",
    lowBits,
    sink: async (bytes) => {
      dataBytes += bytes.byteLength;
    },
    onProgress: (done, total) => progress.push(done / total),
  });
  return { ...graphs, dataBytes, progress };
}

function read(bytes: Uint8Array): onnx.IGraphProto {
  return onnxProto.onnx.ModelProto.decode(bytes).graph ?? {};
}

function places(bytes: Uint8Array): Map<string, { offset: number; length: number }> {
  const found = new Map<string, { offset: number; length: number }>();
  for (const tensor of read(bytes).initializer ?? []) {
    const entries = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value]));
    if (!entries.has("location")) continue;
    found.set(tensor.name ?? "", {
      offset: Number(entries.get("offset")),
      length: Number(entries.get("length")),
    });
  }
  return found;
}

test("every residual stream and the final state are outputs", async () => {
  const outputs = (read((await build()).body).output ?? []).map(({ name }) => name);
  for (const name of ["residual.0", "residual.1", "residual.2", "hidden"]) expect(outputs).toContain(name);
});

test("external tensors begin on pages, do not overlap and end with the file", async () => {
  const { body, dataBytes } = await build();
  let end = 0;
  for (const { offset, length } of [...places(body).values()].sort((a, b) => a.offset - b.offset)) {
    expect(offset % 4096).toBe(0);
    expect(offset).toBeGreaterThanOrEqual(end);
    end = offset + length;
  }
  expect(end).toBe(dataBytes);
});

test("a model without a head of its own decodes with its embedding, stored once", async () => {
  const { body, head } = await build();
  expect(places(head).get("head.codes")).toStrictEqual(places(body).get("token_embd.weight.codes"));
});

test("a model with a head of its own decodes with that", async () => {
  const { body, head, shape } = await build({ tensors: { "output.weight": [40, 64] } });
  expect(places(head).get("head.codes")?.offset).toBeGreaterThan(
    places(body).get("token_embd.weight.codes")?.offset ?? 0,
  );
  expect(shape.vocabularySize).toBe(40);
});

const named = (parts: readonly string[], type: string) =>
  Object.fromEntries(parts.map((part) => [`blk.0.${part}.weight`, type]));

/** Of each product with few. */
const bitsOf = (body: Uint8Array): Map<string, number> =>
  new Map(
    read(body).node?.flatMap(({ opType, input, attribute }) => {
      const bits = Number(attribute?.find(({ name }) => name === "bits")?.i);
      return opType === "LowBitProduct" ? [[input?.[1] ?? "", bits] as const] : [];
    }),
  );

test("matrices of few bits stay so where that is asked, and several as one with the most bits among them", async () => {
  const types = {
    ...named(["attn_q", "attn_k", "ffn_gate"], "Q4_1"),
    ...named(["attn_v"], "Q5_0"),
    ...named(["ffn_down"], "Q8_0"),
  };
  const { body, progress } = await build({ types }, true);
  const qkv = ["attn_q", "attn_k", "attn_v"].map((part) => `blk.0.${part}.weight`).join("+");
  expect(bitsOf(body)).toStrictEqual(
    new Map([
      [`${qkv}.codes`, 5],
      ["blk.0.ffn_gate.weight.codes", 4],
    ]),
  );
  expect(progress.at(-1)).toBe(1);
  expect(bitsOf((await build({ types })).body).size).toBe(0);
});

test("progress never falls and ends at the whole file", async () => {
  const { progress } = await build();
  expect(progress).toStrictEqual([...progress].sort((a, b) => a - b));
  expect(progress.at(-1)).toBe(1);
});

test("the rotary base is the file's, or the original one where the file is silent", async () => {
  expect((await build()).shape.ropeBase).toBe(10_000);
  expect((await build({ metadata: { "llama.rope.freq_base": 77 } })).shape.ropeBase).toBe(77);
});

test("contexts above 8,192 tokens are cut", async () => {
  expect((await build()).shape.contextLength).toBe(100);
  expect((await build({ metadata: { "llama.context_length": 32_768 } })).shape.contextLength).toBe(8192);
});

test.each<{ what: string; options: TinyWeightsOptions; message: RegExp }>([
  { what: "an unknown architecture", options: { family: "mamba" }, message: /llama, gemma3, got mamba/ },
  {
    what: "a tensor without a place in the graph",
    options: { tensors: { "blk.0.attn_q.bias": [64] } },
    message: /blk\.0\.attn_q\.bias/,
  },
  {
    what: "a missing matrix",
    options: { tensors: { "blk.1.ffn_up.weight": null } },
    message: /blk\.1\.ffn_up\.weight/,
  },
  {
    what: "a scaled rotary embedding",
    options: { metadata: { "llama.rope.scaling.type": "yarn" } },
    message: /rope\.scaling/,
  },
  {
    what: "heads of which only a part turns",
    options: { metadata: { "llama.rope.dimension_count": 8 } },
    message: /rope\.dimension_count/,
  },
  {
    what: "missing sizes",
    options: { metadata: { "llama.block_count": undefined } },
    message: /llama\.block_count/,
  },
])("$what is refused by name", async ({ options, message }) => {
  await expect(build(options)).rejects.toThrow(message);
});

import onnxProto, { type onnx as Onnx } from "onnx-proto";
import { describe, expect, test } from "vitest";
import { tapEncoderGraph } from "../../src/weights/encoder-graph.ts";

const { onnx } = onnxProto;

type Node = readonly [operator: string, inputs: readonly string[], output: string];

/** y = (x − mean) / √(…) · γ + β written out. */
const chain = (x: string, y: string): Node[] => [
  ["ReduceMean", [x], `${y}.mean`],
  ["Sub", [x, `${y}.mean`], `${y}.centred`],
  ["Pow", [`${y}.centred`, "two"], `${y}.square`],
  ["ReduceMean", [`${y}.square`], `${y}.variance`],
  ["Add", [`${y}.variance`, "epsilon"], `${y}.floored`],
  ["Sqrt", [`${y}.floored`], `${y}.deviation`],
  ["Div", [`${y}.centred`, `${y}.deviation`], `${y}.unit`],
  ["Mul", [`${y}.unit`, "gamma"], `${y}.scaled`],
  ["Add", ["beta", `${y}.scaled`], y],
];
const operator = (x: string, y: string): Node[] => [["LayerNormalization", [x, "gamma", "beta"], y]];

/** Only what the reader looks at: norms, attentions and the sums between them. */
function encoderNodes(layers: number, norm: (x: string, y: string) => Node[]): Node[] {
  const nodes: Node[] = [["Gather", ["table", "input_ids"], "words"], ...norm("words", "state.0")];
  for (let layer = 0; layer < layers; layer++) {
    const after = layer === layers - 1 ? "last_hidden_state" : `state.${layer + 1}`;
    nodes.push(["Softmax", [`state.${layer}`], `attention.${layer}`]);
    nodes.push(["Add", [`attention.${layer}`, `state.${layer}`], `sum.${layer}`]);
    nodes.push(...norm(`sum.${layer}`, `middle.${layer}`));
    nodes.push(["Erf", [`middle.${layer}`], `forward.${layer}`]);
    nodes.push(["Add", [`forward.${layer}`, `middle.${layer}`], `total.${layer}`]);
    nodes.push(...norm(`total.${layer}`, after));
  }
  return nodes;
}

function modelBytes(
  nodes: readonly Node[],
  inputs: readonly string[] = ["input_ids", "attention_mask", "token_type_ids"],
  output = "last_hidden_state",
): Uint8Array {
  const dim = [{ dimParam: "n" }, { dimParam: "t" }, { dimValue: 8 }];
  const type: Onnx.ITypeProto = { tensorType: { elemType: 1, shape: { dim } } };
  const node = nodes.map(([opType, input, result]) => ({ opType, input: [...input], output: [result] }));
  const graph = { node, input: inputs.map((name) => ({ name })), output: [{ name: output, type }] };
  return onnx.ModelProto.encode(onnx.ModelProto.create({ graph })).finish();
}

const tapsOf = (bytes: Uint8Array): Record<string, string> =>
  Object.fromEntries(
    (onnx.ModelProto.decode(bytes).graph?.node ?? [])
      .filter(({ opType }) => opType === "Identity")
      .map(({ input, output }) => [output?.[0] ?? "", input?.[0] ?? ""]),
  );

describe.each([
  ["one operator", operator],
  ["a chain of operators", chain],
])("normalisations that are %s", (_, norm) => {
  test("every second one is a layer's residual stream", () => {
    const { graph, shape, inputs } = tapEncoderGraph(modelBytes(encoderNodes(3, norm)));
    expect(shape).toEqual({ layers: 3, width: 8 });
    expect(inputs).toEqual(["input_ids", "attention_mask", "token_type_ids"]);
    expect(tapsOf(graph)).toEqual({
      "residual.0": "state.0",
      "residual.1": "state.1",
      "residual.2": "state.2",
      "residual.3": "last_hidden_state",
    });
    const outputs = onnx.ModelProto.decode(graph).graph?.output ?? [];
    expect(outputs.map(({ name }) => name)).toEqual([
      "last_hidden_state",
      "residual.0",
      "residual.1",
      "residual.2",
      "residual.3",
    ]);
    expect(Number(outputs[1]?.type?.tensorType?.shape?.dim?.[2]?.dimValue)).toBe(8);
  });
});

test("an encoder without token types is read", () => {
  const bytes = modelBytes(encoderNodes(1, operator), ["input_ids", "attention_mask"]);
  expect(tapEncoderGraph(bytes).inputs).toEqual(["input_ids", "attention_mask"]);
});

const refusal = (bytes: Uint8Array) => () => tapEncoderGraph(bytes);

test("what is no such graph is refused with what was looked for and what is there", () => {
  const nodes = encoderNodes(2, operator);
  expect(refusal(new Uint8Array([255, 1, 2]))).toThrow("expected an ONNX model, got other bytes");
  expect(refusal(modelBytes(nodes, ["input_ids"]))).toThrow(
    "expected an input attention_mask, got input_ids",
  );
  expect(refusal(modelBytes(nodes, ["input_ids", "attention_mask", "pixels"]))).toThrow("got pixels");
  expect(refusal(modelBytes(nodes, undefined, "logits"))).toThrow(
    "expected an output last_hidden_state of a fixed width, got logits",
  );
  expect(refusal(modelBytes(nodes.filter(([name]) => name !== "Softmax")))).toThrow(
    "got 5 and 0 attentions. Only BERT-like encoders",
  );
  // A norm before each part and one at the end, as a decoder has them, are as many, but one more softmax is not.
  expect(refusal(modelBytes([...nodes, ["Softmax", ["x"], "more"]]))).toThrow("got 5 and 3 attentions");
  expect(refusal(modelBytes([...nodes.slice(0, -1), ["LayerNormalization", ["x"], "other"]]))).toThrow(
    "expected last_hidden_state to be the last normalisation's result, got other",
  );
});

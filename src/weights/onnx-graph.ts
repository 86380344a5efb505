import onnxProto, { type onnx as Onnx } from "onnx-proto";
import type { ElementType, StoredTensor } from "./external-data.ts";

// The package is CommonJS and its names cannot be imported one by one.
const { onnx } = onnxProto;

export const ELEMENT_TYPES = {
  float32: onnx.TensorProto.DataType.FLOAT,
  uint8: onnx.TensorProto.DataType.UINT8,
  int32: onnx.TensorProto.DataType.INT32,
  int64: onnx.TensorProto.DataType.INT64,
} as const satisfies Record<ElementType, Onnx.TensorProto.DataType>;

/** Domain of the operators that onnxruntime adds to the standard ones. */
export const CONTRIB = "com.microsoft";

const IR_VERSION = 10;
const OPSET = 21;

/** ONNX tells whole numbers from others, JavaScript does not. */
export type Attribute = { readonly int: number } | { readonly float: number } | { readonly text: string };

export interface NodeOptions {
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Names of the results; one unnamed result when absent. An empty name skips an optional result. */
  readonly outputs?: readonly string[];
}

/** A graph being written. Values are referred to by name. */
export interface OnnxGraph {
  /** A graph input; a dimension given by name is free. Returns its name. */
  input(name: string, type: ElementType, dims: readonly (number | string)[]): string;
  output(name: string, type: ElementType, dims: readonly (number | string)[]): void;
  /** A small constant kept in the graph itself. Returns its name. */
  constant(
    name: string,
    type: "float32" | "int32" | "int64",
    dims: readonly number[],
    values: readonly number[] | Float32Array,
  ): string;
  /** A constant whose bytes lie in the external data file. Returns its name. */
  external(name: string, tensor: StoredTensor): string;
  /** Adds a node and returns the name of its first result. */
  node(operator: string, inputs: readonly string[], options?: NodeOptions): string;
  /** The ModelProto bytes. */
  encode(): Uint8Array<ArrayBuffer>;
}

export function createOnnxGraph(name: string): OnnxGraph {
  const nodes: Onnx.INodeProto[] = [];
  const initializer: Onnx.ITensorProto[] = [];
  const input: Onnx.IValueInfoProto[] = [];
  const output: Onnx.IValueInfoProto[] = [];

  return {
    input(inputName, type, dims) {
      input.push(valueInfo(inputName, type, dims));
      return inputName;
    },
    output(outputName, type, dims) {
      output.push(valueInfo(outputName, type, dims));
    },
    constant(constantName, type, dims, values) {
      initializer.push({
        name: constantName,
        dataType: ELEMENT_TYPES[type],
        dims: [...dims],
        rawData: littleEndian(type, values),
      });
      return constantName;
    },
    external(tensorName, tensor) {
      initializer.push({
        name: tensorName,
        dataType: ELEMENT_TYPES[tensor.type],
        dims: [...tensor.dims],
        dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
        externalData: [
          { key: "location", value: tensor.location },
          { key: "offset", value: String(tensor.offset) },
          { key: "length", value: String(tensor.byteLength) },
        ],
      });
      return tensorName;
    },
    node(operator, inputs, options = {}) {
      const nodeName = `${operator}.${nodes.length}`;
      const results = options.outputs ?? [nodeName];
      nodes.push({
        name: nodeName,
        opType: operator,
        domain: options.domain ?? "",
        input: [...inputs],
        output: [...results],
        attribute: Object.entries(options.attributes ?? {}).map(([key, value]) => attribute(key, value)),
      });
      const [first] = results;
      if (first === undefined) throw new RangeError(`onnx graph ${name}: node ${nodeName} has no result`);
      return first;
    },
    encode() {
      const model = onnx.ModelProto.create({
        irVersion: IR_VERSION,
        producerName: "concord",
        opsetImport: [
          { domain: "", version: OPSET },
          { domain: CONTRIB, version: 1 },
        ],
        graph: { name, node: nodes, initializer, input, output },
      });
      // A copy of exact length: the encoder returns a view into a pooled buffer.
      return new Uint8Array(onnx.ModelProto.encode(model).finish());
    },
  };
}

function valueInfo(
  name: string,
  type: ElementType,
  dims: readonly (number | string)[],
): Onnx.IValueInfoProto {
  const dim = dims.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], shape: { dim } } } };
}

function attribute(name: string, value: Attribute): Onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if ("int" in value) return { name, type: AttributeType.INT, i: value.int };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value.text) };
}

function littleEndian(
  type: "float32" | "int32" | "int64",
  values: readonly number[] | Float32Array,
): Uint8Array {
  const width = type === "int64" ? 8 : 4;
  const view = new DataView(new ArrayBuffer(values.length * width));
  values.forEach((value, i) => {
    if (type === "float32") view.setFloat32(i * width, value, true);
    else if (type === "int32") view.setInt32(i * width, value, true);
    else view.setBigInt64(i * width, BigInt(value), true);
  });
  return new Uint8Array(view.buffer);
}

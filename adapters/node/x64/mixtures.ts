import koffi from "koffi";
import type { onnx as Onnx } from "onnx-proto";
import { MIXTURE_NODE } from "../../../src/weights/fusion-graph.ts";
import { nativeCode, nativeFloats } from "../native-memory.ts";
import { mixtureCode, mixtureConstants } from "./mixture-kernels.ts";
import { MIXTURE_OPERATOR, MIXTURE_OPERATOR_END, mixtureOperatorCode } from "./mixture-operator.ts";
import { DOMAIN, TYPES, type Functions } from "./operator.ts";
import type { TakenNodes } from "./products.ts";

/**
 * Makes the node of a graph that mixes the members' distributions one of ours.
 * @param threads that share the positions @returns null where there is none
 */
export function takeMixture(
  graph: Onnx.IGraphProto,
  threads: number,
  functions: Functions,
): TakenNodes | null {
  const node = graph.node?.find(({ opType }) => opType === MIXTURE_NODE);
  if (node === undefined) return null;
  const constants = new Map(graph.initializer?.map(({ name, rawData }) => [name ?? "", rawData]));
  const stored = (name = ""): ArrayBuffer => new Uint8Array(constants.get(name) ?? []).slice().buffer;
  const [specialName, weightsName, ...ports] = node.input?.toReversed() ?? [];
  const special = Array.from(new BigInt64Array(stored(specialName)), Number);
  const weights = Array.from(new Float32Array(stored(weightsName)));
  const vocabularySize = Number(node.attribute?.find(({ name }) => name === "size")?.i ?? 0);
  const numbers = mixtureConstants({ weights, vocabularySize }, special);
  const memory = nativeFloats(numbers.length);
  memory.values.set(numbers);
  const code = nativeCode([
    mixtureOperatorCode(weights.length, functions),
    mixtureCode({ weights, vocabularySize }, koffi.address(memory.values)),
  ]);
  const [compute = 0n, mix = 0n] = code.addresses;
  node.domain = DOMAIN;
  node.attribute = [];
  node.input = ports.toReversed();
  const { float32, int64 } = TYPES;
  return {
    operators: [
      {
        name: MIXTURE_NODE,
        inputTypes: node.input.map(() => float32),
        outputTypes: [float32, float32, float32, float32, int64],
        compute,
        own: { [MIXTURE_OPERATOR.threads]: threads, [MIXTURE_OPERATOR.mix]: mix },
        ownEnd: MIXTURE_OPERATOR_END,
      },
    ],
    release() {
      memory.release();
      code.release();
    },
  };
}

import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import onnxProto from "onnx-proto";
import { takeAttentions } from "./attentions.ts";
import { takeMixture } from "./mixtures.ts";
import { calledFunctions, createOperators, DOMAIN } from "./operator.ts";
import { takeProducts } from "./products.ts";

// The package is CommonJS and its names cannot be imported one by one.
const { onnx } = onnxProto;

/** A graph whose products and attentions are operators of ours, as far as they can be. */
export interface NativeGraph {
  /** The ModelProto bytes. */
  readonly model: Uint8Array;
  /** Of each operator, for CustomOpDomain_Add. */
  readonly operators: readonly bigint[];
  /** Whether its attentions are ours. */
  readonly attends: boolean;
  /** After its session alone. */
  release(): void;
}

/**
 * Takes out of a graph what is computed in machine code where the processor `hasOperators`.
 * @param path of the graph @param threads that share an operator @param address of a function in onnxruntime's table
 * @returns null where that is nothing
 */
export function openNativeGraph(
  path: string,
  threads: number,
  address: (place: number) => bigint,
): NativeGraph | null {
  const model = onnx.ModelProto.decode(readFileSync(path));
  const { graph } = model;
  if (!graph) return null;
  const functions = calledFunctions(address);
  const attentions = takeAttentions(graph, threads, functions);
  const taken = [
    attentions,
    takeProducts(graph, dirname(path), threads, functions),
    takeMixture(graph, threads, functions),
  ].filter((nodes) => nodes !== null);
  if (taken.length === 0) return null;
  const operators = createOperators(taken.flatMap((nodes) => nodes.operators));
  const used = new Set(graph.node?.flatMap(({ input }) => input ?? []));
  graph.initializer = graph.initializer?.filter(({ name }) => used.has(name ?? "")) ?? [];
  model.opsetImport = [...(model.opsetImport ?? []), { domain: DOMAIN, version: 1 }];
  return {
    model: new Uint8Array(onnx.ModelProto.encode(model).finish()),
    operators: operators.addresses,
    attends: attentions !== null,
    release() {
      for (const part of [operators, ...taken]) part.release();
    },
  };
}

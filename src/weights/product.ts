import { CONTRIB, createOnnxGraph } from "./onnx-graph.ts";

export const PRODUCT_PORTS = { a: "a", b: "b", product: "product" } as const;

/** Writes the graph A (n, d), B (p, d) → A Bᵀ (n, p), in float32. */
export function buildProduct(): Uint8Array<ArrayBuffer> {
  const graph = createOnnxGraph("product");
  const a = graph.input(PRODUCT_PORTS.a, "float32", ["n", "d"]);
  const b = graph.input(PRODUCT_PORTS.b, "float32", ["p", "d"]);
  graph.node("FusedMatMul", [a, b], {
    domain: CONTRIB,
    attributes: { transB: { int: 1 } },
    outputs: [PRODUCT_PORTS.product],
  });
  graph.output(PRODUCT_PORTS.product, "float32", ["n", "p"]);
  return graph.encode();
}

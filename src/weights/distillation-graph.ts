import { CONTRIB, createOnnxGraph } from "./onnx-graph.ts";

/** Names of the graph's inputs and outputs; those with a number are one per member. */
export const DISTILLATION_PORTS = {
  states: (m: number): string => `states.${m}`,
  projection: (m: number): string => `projection.${m}`,
  factor: (m: number): string => `factor.${m}`,
  table: (m: number): string => `table.${m}`,
  shares: "shares",
  rowBias: "row_bias",
  target: "target",
  loss: "loss",
  projectionGradient: (m: number): string => `d_projection.${m}`,
  factorGradient: (m: number): string => `d_factor.${m}`,
  rowBiasGradient: "d_row_bias",
} as const;

/**
 * Writes one step of a distillation into a shared space, with its analytic gradient:
 *
 *   z = Σ_m H_m P_m,  l = Σ_m (z S_mᵀ) U_mᵀ + A β,  loss = −Σ q · log softmax(l)
 *   g = (Σ_v q) softmax(l) − q,  dβ = Aᵀ g,  G_m = g U_m,  dS_m = G_mᵀ z,  dz = Σ_m G_m S_m,  dP_m = H_mᵀ dz
 *
 * with H_m (B, d_m) centred states times the member's share in the row, A (B, m) the shares, P_m and S_m (d_m, k),
 * U_m (R, d_m), β (m, R) and the target q (B, R), whose rows need not sum to 1. Sums over the batch, not means.
 */
export function buildDistillationStep(members: number): Uint8Array<ArrayBuffer> {
  const ports = DISTILLATION_PORTS;
  const graph = createOnnxGraph("distillation");
  const each = Array.from({ length: members }, (_, m) => m);
  const matrix = (name: string, rows: string, columns: string): string =>
    graph.input(name, "float32", [rows, columns]);
  const product = (a: string, b: string, transposed: "a" | "b" | null, outputs?: string[]): string =>
    graph.node("FusedMatMul", [a, b], {
      domain: CONTRIB,
      attributes: {
        transA: { int: transposed === "a" ? 1 : 0 },
        transB: { int: transposed === "b" ? 1 : 0 },
      },
      ...(outputs === undefined ? {} : { outputs }),
    });
  const sum = (terms: readonly string[]): string =>
    terms.length === 1 ? (terms[0] ?? "") : graph.node("Sum", terms);

  const states = each.map((m) => matrix(ports.states(m), "B", `d${m}`));
  const projections = each.map((m) => matrix(ports.projection(m), `d${m}`, "k"));
  const factors = each.map((m) => matrix(ports.factor(m), `d${m}`, "k"));
  const tables = each.map((m) => matrix(ports.table(m), "R", `d${m}`));
  const shares = matrix(ports.shares, "B", "m");
  const rowBias = matrix(ports.rowBias, "m", "R");
  const target = matrix(ports.target, "B", "R");

  const z = sum(each.map((m) => product(states[m] ?? "", projections[m] ?? "", null)));
  const unfolded = each.map((m) => product(z, factors[m] ?? "", "b"));
  const logits = sum([
    ...each.map((m) => product(unfolded[m] ?? "", tables[m] ?? "", "b")),
    product(shares, rowBias, null),
  ]);
  const logprobs = graph.node("LogSoftmax", [logits], { attributes: { axis: { int: -1 } } });
  const lastAxis = graph.constant("last_axis", "int64", [1], [1]);
  const negated = graph.node("Neg", [graph.node("Mul", [target, logprobs])]);
  graph.node("ReduceSum", [negated], { attributes: { keepdims: { int: 0 } }, outputs: [ports.loss] });
  graph.output(ports.loss, "float32", []);

  const mass = graph.node("ReduceSum", [target, lastAxis], { attributes: { keepdims: { int: 1 } } });
  const expected = graph.node("Mul", [graph.node("Exp", [logprobs]), mass]);
  const g = graph.node("Sub", [expected, target]);
  product(shares, g, "a", [ports.rowBiasGradient]);
  graph.output(ports.rowBiasGradient, "float32", ["m", "R"]);
  const back = each.map((m) => product(g, tables[m] ?? "", null));
  const dz = sum(each.map((m) => product(back[m] ?? "", factors[m] ?? "", null)));
  for (const m of each) {
    product(back[m] ?? "", z, "a", [ports.factorGradient(m)]);
    graph.output(ports.factorGradient(m), "float32", [`d${m}`, "k"]);
    product(states[m] ?? "", dz, "a", [ports.projectionGradient(m)]);
    graph.output(ports.projectionGradient(m), "float32", [`d${m}`, "k"]);
  }
  return graph.encode();
}

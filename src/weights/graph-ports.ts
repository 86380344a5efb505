/** Names of the graph's inputs and outputs: what the builder writes and the worker feeds. */
export const GRAPH_PORTS = {
  /** Token ids (b, t): of one sequence, or one of each of several. */
  tokens: "tokens",
  /** Tokens of each sequence with the new ones, less one (b,), and of the longest sequence, a scalar. */
  lastIndex: "last.index",
  total: "total",
  /**
   * The same where a layer with a window is given only the part of the cache that begins with its window, and, since
   * those count from there, the new tokens' positions (b, t). Only in graphs with such layers.
   */
  windowLastIndex: "window.last.index",
  windowTotal: "window.total",
  positions: "positions",
  /** Keys or values read before: (b, kvHeads, capacity, head), valid up to where the new tokens begin. */
  pastKey: (layer: number) => `past.key.${layer}`,
  pastValue: (layer: number) => `past.value.${layer}`,
  /** The same with the new tokens: the same memory. */
  presentKey: (layer: number) => `present.key.${layer}`,
  presentValue: (layer: number) => `present.value.${layer}`,
  /** Residual stream after l blocks (b, t, d). */
  residual: (layer: number) => `residual.${layer}`,
  /** Final state after the last norm (b, t, d). */
  hidden: "hidden",
  /** Rows of states into a head (n, width), and their logits (n, V). */
  states: "states",
  logits: "logits",
} as const;

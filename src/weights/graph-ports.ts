/** Names of the graph's inputs and outputs: what the builder writes and the worker feeds. */
export const GRAPH_PORTS = {
  /** Token ids (1, t). */
  tokens: "tokens",
  /** How many tokens of the cache are valid (1,). */
  pastLength: "past.length",
  /** Keys or values read before: (1, kvHeads, capacity, head), valid up to the past length. */
  pastKey: (layer: number) => `past.key.${layer}`,
  pastValue: (layer: number) => `past.value.${layer}`,
  /** Keys or values of the tokens just read: (1, kvHeads, t, head). */
  newKey: (layer: number) => `new.key.${layer}`,
  newValue: (layer: number) => `new.value.${layer}`,
  /** Residual stream after l blocks (1, t, d). */
  residual: (layer: number) => `residual.${layer}`,
  /** Final state after the last norm (1, t, d). */
  hidden: "hidden",
  /** Rows of states into a head (n, width), and their logits (n, V). */
  states: "states",
  logits: "logits",
} as const;

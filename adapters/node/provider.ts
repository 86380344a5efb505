/** What a graph may be computed by: the processor, or what a machine has besides. Names are onnxruntime-node's. */
export const PROVIDERS = ["cpu", "cuda", "coreml", "dml", "webgpu"] as const;

export type Provider = (typeof PROVIDERS)[number];

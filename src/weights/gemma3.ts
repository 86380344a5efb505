import { attention, rotaryTables } from "./attention.ts";
import type { Architecture } from "./body.ts";
import { windowOf } from "./model-shape.ts";

/** Base of the rotary angles in the layers with a window. Not in the weight file; Gemma 3 report (2025), section 2. */
const LOCAL_ROPE_BASE = 10_000;

/**
 * Gemma 3: a norm before and after attention and feed-forward, norms on the heads of q and k, windows in five of
 * six layers, gated GELU, embeddings times √d. Gemma team 2025. The file's norm weights already hold the + 1.
 */
export const gemma3: Architecture = async (body) => {
  const { graph, shape } = body;
  const globalRotary = await rotaryTables(graph, body.data, "rotary.global", shape.ropeBase, shape);
  const localRotary = await rotaryTables(graph, body.data, "rotary.local", LOCAL_ROPE_BASE, shape);
  const scale = graph.constant("embedding.scale", "float32", [], [Math.sqrt(shape.width)]);
  const splitHeads = (heads: number) =>
    graph.constant(`split.${heads}`, "int64", [4], [0, 0, heads, shape.headSize]);
  const joinHeads = (heads: number) =>
    graph.constant(`join.${heads}`, "int64", [3], [0, 0, heads * shape.headSize]);
  const queryDims = [splitHeads(shape.heads), joinHeads(shape.heads)] as const;
  const keyDims = [splitHeads(shape.kvHeads), joinHeads(shape.kvHeads)] as const;

  async function normHeads(
    x: string,
    weight: string,
    [split, join]: readonly [string, string],
  ): Promise<string> {
    const normed = await body.norm(graph.node("Reshape", [x, split]), weight);
    return graph.node("Reshape", [normed, join]);
  }

  return {
    embed: (rows) => graph.node("Mul", [rows, scale]),
    async block(layer, x, output) {
      const name = (part: string) => `blk.${layer}.${part}.weight`;

      const normed = await body.norm(x, name("attn_norm"));
      const q = await normHeads(await body.project(normed, name("attn_q")), name("attn_q_norm"), queryDims);
      const k = await normHeads(await body.project(normed, name("attn_k")), name("attn_k_norm"), keyDims);
      const v = await body.project(normed, name("attn_v"));
      const attended = attention(graph, [q, k, v], body.lengths, {
        layer,
        shape,
        rotary: windowOf(shape, layer) === null ? globalRotary : localRotary,
        interleaved: false,
      });
      const attentionOutput = await body.project(attended, name("attn_output"));
      const middle = graph.node("Add", [x, await body.norm(attentionOutput, name("post_attention_norm"))]);

      const feedForwardInput = await body.norm(middle, name("ffn_norm"));
      const gate = await body.project(feedForwardInput, name("ffn_gate"));
      const up = await body.project(feedForwardInput, name("ffn_up"));
      const activated = graph.node("Gelu", [gate], { attributes: { approximate: { text: "tanh" } } });
      const down = await body.project(graph.node("Mul", [activated, up]), name("ffn_down"));
      return graph.node("Add", [middle, await body.norm(down, name("post_ffw_norm"))], { outputs: [output] });
    },
  };
};

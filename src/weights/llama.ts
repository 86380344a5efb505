import { attention, rotaryTables } from "./attention.ts";
import type { Architecture } from "./body.ts";

/**
 * Llama: pre-norm blocks, x + attention(norm(x)), then x + down(SiLU(gate(norm(x))) · up(norm(x))).
 * Touvron et al. 2023. GGUF permutes the rows of q and k so that rotary pairs are neighbours.
 */
export const llama: Architecture = async (body) => {
  const { graph, shape } = body;
  const rotary = await rotaryTables(graph, body.data, "rotary", shape.ropeBase, shape);

  return {
    embed: (rows) => rows,
    async block(layer, x, output) {
      const name = (part: string) => `blk.${layer}.${part}.weight`;

      const normed = await body.norm(x, name("attn_norm"));
      const qkv = await body.project(normed, name("attn_q"), name("attn_k"), name("attn_v"));
      const attended = attention(graph, [qkv], body.lengths, {
        layer,
        shape,
        rotary,
        interleaved: true,
      });
      const middle = graph.node("Add", [x, await body.project(attended, name("attn_output"))]);

      const feedForwardInput = await body.norm(middle, name("ffn_norm"));
      const gate = await body.project(feedForwardInput, name("ffn_gate"));
      const up = await body.project(feedForwardInput, name("ffn_up"));
      const activated = graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]);
      const down = await body.project(graph.node("Mul", [activated, up]), name("ffn_down"));
      return graph.node("Add", [middle, down], { outputs: [output] });
    },
  };
};

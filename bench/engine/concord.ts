import { openEngine } from "../../adapters/node/open-engine.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { ENSEMBLE_ID } from "../../src/ensemble/engine.ts";
import { plainSampling, type Question } from "../../src/ports/engine.ts";
import type { Generator } from "./generator.ts";
import { answerMeasures } from "./measures.ts";

/* The product's own engine: both members fused, its log and all. CONCORD_HOME says where it keeps its files. */

/** Enough that no end of text is ever drawn. */
const NEVER = -100;

async function openConcord(): Promise<Generator> {
  const engine = await openEngine({ progress: createProgressBar(), keepText: false });
  // A bias also keeps the ensemble from leaving a text to one member.
  const logitBias = new Map(engine.members[0]?.tokenizer.endTokens.map((token) => [token, NEVER]));
  return {
    openStreams: async (_streams, tokens) => ({
      async generate(text, onToken, signal) {
        const question: Question = {
          requestId: crypto.randomUUID(),
          model: ENSEMBLE_ID,
          endpoint: "ask",
          prompt: { kind: "text", text },
          // What is left of the streams' tokens; the prompt's are more than its words.
          maxTokens: tokens - text.split(" ").length,
          stop: [],
          sampling: { ...plainSampling, temperature: 0, logitBias },
          topLogprobs: null,
          echo: false,
          signal,
        };
        try {
          for await (const event of engine.answer(question)) {
            if (event.type !== "delta") continue;
            for (const _ of event.tokens) onToken();
          }
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      },
      close: async () => {},
    }),
    close: () => engine.close(),
  };
}

answerMeasures(openConcord);

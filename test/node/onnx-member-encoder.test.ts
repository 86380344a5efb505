import { createLanguageModelEncoder } from "../../src/ensemble/language-model-encoder.ts";
import { describeSentenceEncoder } from "../contracts/sentence-encoder.ts";
import { openMember } from "../open-member.ts";

describeSentenceEncoder("over SmolLM2 135M", {
  open: async () => {
    const model = await openMember("smollm2-135m-instruct");
    return { encoder: createLanguageModelEncoder(model), close: () => model.close() };
  },
  tolerance: 1e-5,
});

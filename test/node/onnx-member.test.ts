import { describeLanguageModel } from "../contracts/language-model.ts";
import { openMember } from "../open-member.ts";

// Activations are rounded to 8 bits block by block: sums in another order can round to another code.
const closeness = 0.998;

describeLanguageModel("SmolLM2 135M", { open: () => openMember("smollm2-135m-instruct"), closeness });
describeLanguageModel("Gemma 3 270M", { open: () => openMember("gemma-3-270m"), closeness });

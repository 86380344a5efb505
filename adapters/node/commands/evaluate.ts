import type { Command } from "commander";
import { registerEvaluateAllCommand } from "./evaluate-all.ts";
import { registerEvaluateChoicesCommand } from "./evaluate-choices.ts";
import { registerEvaluateEmbeddingsCommand } from "./evaluate-embeddings.ts";
import { registerEvaluateProbesCommand } from "./evaluate-probes.ts";
import { registerEvaluateTextCommand } from "./evaluate-text.ts";

export function registerEvaluateCommands(program: Command): void {
  const evaluate = program.command("evaluate").description("how well the ensemble and its members predict");
  registerEvaluateChoicesCommand(evaluate);
  registerEvaluateTextCommand(evaluate);
  registerEvaluateEmbeddingsCommand(evaluate);
  registerEvaluateProbesCommand(evaluate);
  registerEvaluateAllCommand(evaluate);
}

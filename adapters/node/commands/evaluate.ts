import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import pc from "picocolors";
import { evaluateText } from "../../../src/ensemble/evaluate-text.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { createProgressBar } from "../progress-bar.ts";
import { registerEvaluateChoicesCommand } from "./evaluate-choices.ts";
import { scoreLines } from "./scores-table.ts";

export function registerEvaluateCommands(program: Command): void {
  const evaluate = program.command("evaluate").description("how well the ensemble and its members predict");
  registerEvaluateChoicesCommand(evaluate);
  evaluate
    .command("text")
    .argument("<file>", "a UTF-8 text")
    .description("bits per byte of a text under each member alone and under the ensemble: lower is better")
    .option("--json", "print JSON instead of a table")
    .addHelpText("after", "\nExample:\n  concord evaluate text article.txt")
    .action(async (file: string, options: { readonly json?: true }) => {
      const text = await readFile(file, "utf8");
      if (text === "") throw new Error(`${file}: expected a text, got an empty file`);
      const progress = createProgressBar();
      const { ensemble, close } = await openEnsemble({ progress });
      try {
        const scores = await evaluateText(ensemble, text, { clock: systemClock, progress });
        const lines = options.json
          ? [JSON.stringify(scores, null, 2)]
          : [
              ...scoreLines(scores, process.stdout.columns ?? Infinity),
              pc.dim(`${scores[0]?.bytes ?? 0} bytes of ${file}`),
            ];
        process.stdout.write(`${lines.join("\n")}\n`);
      } finally {
        await close();
      }
    });
}

import { resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import pc from "picocolors";
import { fitSentencesToFile } from "../fit-sentences.ts";
import { interruption } from "../interruption.ts";
import { fittedSentenceSpacePath } from "../open-sentence-encoders.ts";
import { createProgressBar } from "../progress-bar.ts";
import type { SentenceSpaceRecord } from "../sentence-space-file.ts";
import { wholeNumber } from "./whole-number.ts";

interface FitSentencesOptions {
  readonly dimension: number;
  readonly ridge: number;
  readonly seed: number;
  readonly sentences: number;
  readonly output?: string;
  readonly json?: true;
}

/** `fit sentences`, under `fit`. */
export function registerFitSentencesCommand(fit: Command): void {
  fit
    .command("sentences")
    .argument("[corpus...]", "files as for fit (default: the English ones that come with Concord)")
    .description(
      "learn the space that all members' sentence states share: for embeddings and probes across members",
    )
    .option("-k, --dimension <number>", "of the shared space", wholeNumber, 128)
    .option("--ridge <share>", "regularisation, as a share of a member's mean variance", positive, 0.1)
    .option("--seed <number>", "decides which documents are held back", wholeNumber, 1)
    .option("--sentences <number>", "to fit on, at most", wholeNumber, 4000)
    .option("-o, --output <file>", "where the map goes (default: in CONCORD_HOME, where the gateway looks)")
    .option("--json", "print the fit record as JSON")
    .addHelpText("after", "\nExample:\n  concord fit sentences tickets.jsonl --sentences 2000")
    .action(async (corpus: readonly string[], options: FitSentencesOptions) => {
      const output = resolve(options.output ?? fittedSentenceSpacePath());
      const record = await fitSentencesToFile({
        corpus: corpus.length > 0 ? corpus : null,
        output,
        dimension: options.dimension,
        ridge: options.ridge,
        seed: options.seed,
        sentences: options.sentences,
        progress: createProgressBar(),
        signal: interruption(),
      });
      const lines = options.json ? [JSON.stringify(record, null, 2)] : summary(record, output);
      process.stdout.write(`${lines.join("\n")}\n`);
    });
}

function summary({ corpus, members, dimension, depths }: SentenceSpaceRecord, output: string): string[] {
  const { fit, report } = corpus.sentences;
  return [
    `${fit} sentences, ${members.length} members → a space of ${dimension} dimensions at each of ${depths.length} depths`,
    `of ${report} sentences of other documents, the right one is found through another member:`,
    ...depths.map(({ name, layers, heldOut }) => {
      const found =
        heldOut === null
          ? "one member alone"
          : `${percent(heldOut.mean)} of the time, at least ${percent(heldOut.least)} between two members`;
      return `  ${name.padEnd(6)}  ${found} (layers ${layers.join(", ")})`;
    }),
    pc.dim(output),
  ];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("Expected a number above 0.");
  return value;
}

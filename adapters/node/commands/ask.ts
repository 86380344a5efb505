import { randomUUID } from "node:crypto";
import { InvalidArgumentError, type Command } from "commander";
import pc from "picocolors";
import { ENSEMBLE_ID } from "../../../src/ensemble/engine.ts";
import { plainSampling, type AnswerReport, type Engine } from "../../../src/ports/engine.ts";
import { openEngine } from "../open-engine.ts";
import { createProgressBar } from "../progress-bar.ts";
import { wholeNumber } from "./whole-number.ts";

interface AskOptions {
  readonly model: string;
  readonly system?: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed?: number;
  readonly json?: true;
}

export function registerAskCommand(program: Command): void {
  program
    .command("ask")
    .argument("<question>", "what to ask")
    .description("answer in the terminal, with the members' agreement under the answer")
    .option("-m, --model <id>", "concord (the ensemble) or one member", ENSEMBLE_ID)
    .option("-s, --system <text>", "a system message before the question")
    .option("-n, --max-tokens <count>", "the longest answer", wholeNumber, 256)
    .option("-t, --temperature <number>", "0 always takes the most likely token", nonNegative, 0)
    .option("--seed <number>", "draw the same answer again", wholeNumber)
    .option("--json", "print one JSON object instead")
    .addHelpText(
      "after",
      '\nExample:\n  concord ask "Name three rivers in France." --temperature 0.7 --seed 1',
    )
    .action(async (question: string, options: AskOptions) => {
      const engine = await openEngine({ progress: createProgressBar(), keepText: false });
      try {
        await ask(engine, question, options);
      } finally {
        await engine.close();
      }
    });
}

async function ask(engine: Engine, question: string, options: AskOptions): Promise<void> {
  const messages = [
    ...(options.system === undefined ? [] : [{ role: "system" as const, content: options.system }]),
    { role: "user" as const, content: question },
  ];
  const events = engine.answer({
    requestId: `ask-${randomUUID()}`,
    model: options.model,
    endpoint: "ask",
    prompt: { kind: "chat", messages },
    maxTokens: options.maxTokens,
    stop: [],
    sampling: { ...plainSampling, temperature: options.temperature, seed: options.seed ?? null },
    topLogprobs: null,
    echo: false,
  });
  let text = "";
  for await (const event of events) {
    if (event.type === "delta") {
      text += event.text;
      if (options.json === undefined) process.stdout.write(event.text);
    }
    if (event.type !== "end") continue;
    if (options.json) process.stdout.write(`${JSON.stringify({ text, ...event }, null, 2)}\n`);
    else process.stdout.write(`\n\n${pc.dim(agreementLines(event.report).join("\n"))}\n`);
  }
}

function agreementLines(report: AnswerReport): string[] {
  const { agreement, members } = report;
  const lines = members.map(
    (member) =>
      `${member.id}: weight ${number(member.weight)}, ${number(member.bitsPerByte)} bits/byte, ` +
      `same first choice as the answer ${percent(member.top1Agreement)}`,
  );
  if (agreement.positions > 0) {
    lines.unshift(
      `members agree on the first choice at ${percent(agreement.top1Agreement)} of ${agreement.positions} tokens; ` +
        `Jensen–Shannon divergence ${number(agreement.jsDivergence)} nats, state distance ${number(agreement.stateDistance)}`,
    );
  }
  for (const { id, lost } of members) {
    if (lost) lines.unshift(`degraded: without ${id} from token ${lost.position + 1} on (${lost.reason})`);
  }
  return [...lines, `request ${report.requestId}`];
}

function number(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}

function percent(share: number | null): string {
  return share === null ? "–" : `${(100 * share).toFixed(0)} %`;
}

function nonNegative(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && Number.isFinite(value))) throw new InvalidArgumentError("Expected a number from 0.");
  return value;
}

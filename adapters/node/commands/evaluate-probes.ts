import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import pc from "picocolors";
import {
  evaluateProbes,
  type ProbeAccuracy,
  type ProbeConfidence,
  type ProbeReport,
} from "../../../src/ensemble/evaluate-probes.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import type { SpaceDepth } from "../../../src/ports/sentence-encoders.ts";
import { parseExamples, type LabelledText } from "../examples-file.ts";
import { interruption } from "../interruption.ts";
import { openSentenceEncoders, type OpenSentenceEncoders } from "../open-sentence-encoders.ts";
import { createProgressBar, type ProgressBar } from "../progress-bar.ts";
import { tableLines, type Column } from "./table.ts";
import { wholeNumber } from "./whole-number.ts";

/** The sets that come with Concord. */
const SHIPPED = ["supersenses", "reviews", "spam-subjects"].map((name) =>
  fileURLToPath(new URL(`../../../data/classification/${name}.jsonl`, import.meta.url)),
);

interface EvaluateProbesOptions {
  readonly seed: number;
  readonly report?: string;
  readonly json?: true;
}

interface EvaluatedSet {
  readonly name: string;
  readonly report: ProbeReport;
}

export function registerEvaluateProbesCommand(evaluate: Command): void {
  evaluate
    .command("probes")
    .argument("[files...]", "JSONL files of labelled texts (default: supersenses, reviews, spam subjects)")
    .description(
      "how well probes tell classes, alone, fused, and learned through one member and served through another",
    )
    .option("--seed <number>", "of the bootstrap and of the control", wholeNumber, 1)
    .option("--report <file>", "also write the tables as Markdown")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      `
A line of a file: {"text": "a large feline", "label": "animal", "split": "fit"}
Probes learn from the splits "fit" and "choose" and are told of on "report".

Examples:
  concord evaluate probes
  concord evaluate probes tickets.jsonl --json`,
    )
    .action(async (files: readonly string[], { seed, report, json }: EvaluateProbesOptions) => {
      const progress = createProgressBar();
      const encoders = await openSentenceEncoders({ progress, signal: interruption() });
      const sets: EvaluatedSet[] = [];
      try {
        for (const path of files.length > 0 ? files : SHIPPED) {
          const name = basename(path, ".jsonl");
          const examples = parseExamples(name, await readFile(path, "utf8"));
          sets.push({ name, report: await evaluateSet(encoders, name, examples, { seed, progress }) });
        }
      } finally {
        await encoders.close();
      }
      if (report !== undefined) await writeFile(report, markdown(sets).join("\n"));
      const lines = json ? [JSON.stringify(sets, null, 2)] : sets.map(setText);
      process.stdout.write(`${lines.join("\n")}\n`);
    });
}

function setText({ name, report }: EvaluatedSet): string {
  const table = tableLines(columns, rowsOf(report), process.stdout.columns ?? Infinity);
  return `${[pc.bold(name), ...table, ...notes(report)].join("\n")}\n`;
}

/** Texts encoded between two reports of progress. */
const TEXTS_AT_ONCE = 50;

async function evaluateSet(
  encoders: OpenSentenceEncoders,
  name: string,
  examples: readonly LabelledText[],
  { seed, progress }: { readonly seed: number; readonly progress: ProgressBar },
): Promise<ProbeReport> {
  const classOf = ({ label }: LabelledText): string => {
    if (typeof label === "string") return label;
    throw new Error(`${name}: expected classes, strings, got the number ${label}`);
  };
  const labels = [...new Set(examples.map(classOf))].toSorted();
  const texts = examples.map(({ text }) => text);
  const own = new Map<SpaceDepth, Float32Array[]>(encoders.depths.map((depth) => [depth, []]));
  for (const id of encoders.sharedIds) {
    const { width } = await encoders.info(id);
    const layers = encoders.depths.map((depth) => layerOf(encoders, depth, id));
    for (const blocks of own.values()) blocks.push(new Float32Array(texts.length * width));
    progress.stage(`${id} reads ${name}`, texts.length, "steps");
    for (let first = 0; first < texts.length; first += TEXTS_AT_ONCE) {
      const part = texts.slice(first, first + TEXTS_AT_ONCE);
      const read = await encoders.encode(id, part, { layers: [...new Set(layers)] });
      for (const [d, depth] of encoders.depths.entries()) {
        const states = read.layers.get(layers[d] ?? -1);
        if (states !== undefined)
          own
            .get(depth)
            ?.at(-1)
            ?.set(states, first * width);
      }
      progress.update(first + part.length);
    }
    progress.finish();
  }
  const { dimension, ridge, components } = encoders.record;
  return evaluateProbes({
    labels,
    classes: examples.map((example) => labels.indexOf(classOf(example))),
    learned: examples.map(({ split }) => split !== "report"),
    members: encoders.sharedIds,
    own,
    spaces: encoders.spaces,
    fit: { dimension, ridge, components },
    seed,
    clock: systemClock,
    onStep: (step) => progress.note(`${name}: ${step}`),
  });
}

function layerOf({ spaces }: OpenSentenceEncoders, depth: SpaceDepth, id: string): number {
  const map = spaces.get(depth)?.maps.find((candidate) => candidate.id === id);
  if (map === undefined) throw new Error(`${id} has no map at the depth ${depth}`);
  return map.layer;
}

interface Row {
  readonly name: string;
  readonly accuracy: number;
  readonly interval: ProbeAccuracy["interval"] | null;
  readonly confidence: ProbeConfidence | null;
  /** On the member's own states. */
  readonly own: number | null;
  /** Mean over the probes that were learned through others. */
  readonly received: number | null;
}

const NOTHING = { interval: null, confidence: null, own: null, received: null };

function rowsOf({ majority, members, fused, transfer, shuffled }: ProbeReport): Row[] {
  const received = (id: string): number => {
    const found = transfer.filter(({ served }) => served === id);
    return found.reduce((sum, { accuracy }) => sum + accuracy, 0) / found.length;
  };
  return [
    { ...NOTHING, name: "most frequent class", accuracy: majority },
    ...members.map(({ id, accuracy, interval, confidence, own }) => ({
      name: id,
      accuracy,
      interval,
      confidence,
      own: own.accuracy,
      received: received(id),
    })),
    { ...NOTHING, ...fused, name: "concord" },
    { ...NOTHING, name: "control: shuffled pairs", accuracy: shuffled },
  ];
}

const columns: readonly Column<Row>[] = [
  { title: "probe through", cell: ({ name }) => name, align: "left", expendable: 0 },
  { title: "right", cell: ({ accuracy }) => percent(accuracy), align: "right", expendable: 0 },
  {
    title: "95 %",
    cell: ({ interval }) =>
      interval === null ? "" : `${percent(interval.low)} to ${percent(interval.high)}`,
    align: "right",
    expendable: 1,
  },
  {
    title: "ECE (by chance)",
    cell: ({ confidence }) =>
      confidence === null ? "" : `${confidence.ece.toFixed(3)} (${confidence.eceByChance.toFixed(3)})`,
    align: "right",
    expendable: 1,
  },
  {
    title: "AUROC",
    cell: ({ confidence }) => confidence?.auroc.toFixed(3) ?? "",
    align: "right",
    expendable: 1,
  },
  { title: "on its own states", cell: ({ own }) => percentOrNone(own), align: "right", expendable: 2 },
  {
    title: "learned through others",
    cell: ({ received }) => percentOrNone(received),
    align: "right",
    expendable: 0,
  },
];

function notes({ classes, learned, told, best, fused, ...report }: ProbeReport): string[] {
  const { difference, interval } = fused.lessBest;
  return [
    `${classes} classes; learned from ${learned} texts, told of ${told} others`,
    `concord less the best member (${best}, picked by cross-validation): ${points(difference)} (${points(interval.low)} to ${points(interval.high)}); fitted in ${Math.round(fused.fitMs)} ms`,
    `learned through one member, served through another: ${percent(report.transferMean)} right on average, at least ${percent(report.transferLeast)}; ` +
      `${percent(report.ofNativeMean)} of the server's own probe on average, at least ${percent(report.ofNativeLeast)}`,
  ];
}

function markdown(sets: readonly EvaluatedSet[]): string[] {
  return [
    "# Probes",
    "",
    "Written by `concord evaluate probes --report`. A probe is a linear head on the shared sentence space. Every member's probe is learned and",
    "served through that member alone; “learned through others” is the mean over the probes that the other members learned, served through",
    "this one; `concord` is the probe on the mean of all members' states. The control is the same transfer in a space that was fitted on",
    "pairs of texts that do not belong together. ECE is the expected calibration error of the confidences, beside what it would be by chance",
    "alone were each one exactly right; AUROC is that of confidence against rightness.",
    "",
    ...sets.map(setMarkdown),
  ];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function setMarkdown({ name, report }: EvaluatedSet): string {
  const lines = [
    `## ${name}\n`,
    line(columns.map(({ title }) => title)),
    line(columns.map(({ align }) => (align === "right" ? "--:" : "---"))),
    ...rowsOf(report).map((row) => line(columns.map(({ cell }) => cell(row)))),
    "",
    ...notes(report).map((note) => `- ${note}`),
  ];
  return `${lines.join("\n")}\n`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function percentOrNone(share: number | null): string {
  return share === null ? "" : percent(share);
}

function points(difference: number): string {
  return `${difference < 0 ? "−" : "+"}${Math.abs(100 * difference).toFixed(1)} points`;
}

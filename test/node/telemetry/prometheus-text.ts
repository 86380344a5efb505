import { parsePromql } from "./promql.ts";

/** A line of a text for Prometheus, or the lines of one histogram. */
export interface Sample {
  readonly name: string;
  readonly type: string;
  /** Without `le`. */
  readonly labels: Readonly<Record<string, string>>;
  /** A histogram's count. */
  readonly value: number;
  readonly sum: number | null;
  /** A histogram's: upper bounds, and how many were at or below each. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
}

interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Everything in a text for Prometheus; its series are read by PromQL's grammar. @throws Error on a line that is not one */
export function samplesOf(text: string): Sample[] {
  const types = new Map<string, string>();
  const lines: Line[] = [];
  for (const line of text.split("\n")) {
    const type = /^# TYPE (?<name>\S+) (?<type>counter|gauge|histogram|summary)$/.exec(line)?.groups;
    if (type !== undefined) types.set(type["name"] ?? "", type["type"] ?? "");
    else if (line !== "" && !/^# HELP \S+ ./.test(line)) lines.push(readLine(line));
  }
  return [...types].flatMap(([name, type]) => {
    const own = (suffix: string): Line[] => lines.filter((line) => line.name === name + suffix);
    if (type !== "histogram") {
      return own("").map(({ labels, value }) => ({ name, type, labels, value, sum: null, buckets: [] }));
    }
    return own("_count").map(({ labels, value }) => ({
      name,
      type,
      labels,
      value,
      sum: own("_sum").find((line) => same(line.labels, labels))?.value ?? null,
      buckets: own("_bucket")
        .filter((line) => same(line.labels, { ...labels, le: line.labels["le"] ?? "" }))
        .map((line): [number, number] => [numberOf(line.labels["le"] ?? ""), line.value]),
    }));
  });
}

/** The one sample with this name and at least these labels. */
export function sampleOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Sample {
  const found = samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new Error(`${name} ${JSON.stringify(labels)}: expected one sample, got ${found.length}`);
  }
  return only;
}

function readLine(line: string): Line {
  const space = line.lastIndexOf(" ");
  const nodes = parsePromql(line.slice(0, space));
  const textOf = (kind: string): string[] =>
    nodes.filter(({ name }) => name === kind).map(({ text }) => text);
  const [names, values] = [textOf("LabelName"), textOf("StringLiteral")];
  const labels = Object.fromEntries(names.map((name, i) => [name, JSON.parse(values[i] ?? "") as string]));
  return { name: textOf("Identifier")[0] ?? "", labels, value: numberOf(line.slice(space + 1)) };
}

/** As Go reads a float: in any case. */
function numberOf(text: string): number {
  if (/^nan$/i.test(text)) return NaN;
  const value = text === "+Inf" ? Infinity : Number(text);
  if (text === "" || Number.isNaN(value)) throw new Error(`expected a number, got ${text}`);
  return value;
}

function same(a: Line["labels"], b: Line["labels"]): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

import { disturbanceOf, isBusy, ratioOf, spreadOf, type Spread } from "./summary.ts";
import type { Claim, Row, Samples, SuiteResult } from "./suite.ts";

/** A suite's result as Markdown: a table of medians with their ranges and ratios, what has to hold, and the notes. */
export function markdownOf(title: string, result: SuiteResult): string {
  const parts = [`### ${title}`];
  for (const rows of byContenders(result.rows)) parts.push(figuresTable(rows));
  if (result.claims.length > 0) parts.push(claimsTable(result.claims));
  parts.push([...result.notes, disturbanceNote(result.rows)].map((note) => `- ${note}`).join("\n"));
  return parts.join("\n\n");
}

/** Rows of the same contenders share a table. */
function byContenders(rows: readonly Row[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = row.samples.map(({ contender }) => contender).join("\n");
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()];
}

function figuresTable(rows: readonly Row[]): string {
  const [ours, ...others] = rows[0]?.samples ?? [];
  const titles = [
    "",
    ours?.contender ?? "",
    ...others.flatMap(({ contender, reference }) =>
      reference ? [contender] : [contender, `÷ ${contender}`],
    ),
  ];
  const aligned = [":--", ...titles.slice(1).map(() => "--:")];
  const lines = rows.map((row) => {
    const [first, ...rest] = row.samples;
    if (first === undefined) return [describe(row)];
    return [
      describe(row),
      cell(first),
      ...rest.flatMap((sample) =>
        sample.reference ? [cell(sample)] : [cell(sample), ratioCell(ratioOf(first.values, sample.values))],
      ),
    ];
  });
  return table([titles, aligned, ...lines]);
}

const describe = ({ what, unit, better }: Row): string =>
  `${what}, ${unit} (${better === "higher" ? "more" : "less"} is better)`;

/** `57.1 (54.9–58.2)`, with a mark where others used the machine meanwhile. */
function cell({ values, loads }: Samples): string {
  const spread = spreadOf(values);
  if (Number.isNaN(spread.median)) return "–";
  const busy = loads.filter(isBusy).length * 2 > loads.length ? " †" : "";
  return spreadText(spread) + busy;
}

function spreadText({ median, min, max, count }: Spread): string {
  return count === 1 ? number(median) : `${number(median)} (${number(min)}–${number(max)})`;
}

const ratioCell = ({ median }: Spread): string => (Number.isNaN(median) ? "–" : `**${number(median)} ×**`);

/** Three digits that say something: 0.123, 1.23, 12.3, 123, 1,234. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || size === 0) return Math.round(value).toLocaleString("en-US");
  const digits = size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

export function holds({ value, limit, bound }: Claim): boolean {
  return bound === "at least" ? value >= limit : value <= limit;
}

function claimsTable(claims: readonly Claim[]): string {
  const lines = claims.map((claim) => [
    claim.what,
    `${claim.bound} ${number(claim.limit)}`,
    number(claim.value),
    Number.isNaN(claim.value) ? "not measured" : holds(claim) ? "holds" : "**fails**",
  ]);
  return table([["what has to hold", "limit", "measured", ""], [":--", "--:", "--:", ":--"], ...lines]);
}

function disturbanceNote(rows: readonly Row[]): string {
  const { values, disturbed, mostCores, mostSteal, known } = disturbanceOf(rows);
  if (!known) return "Whether others used the machine meanwhile is not known: this system does not tell.";
  if (disturbed === 0) return `Nothing else used the machine during any of the ${values} measurements.`;
  const steal = mostSteal > 0 ? `; the host took up to ${(100 * mostSteal).toFixed(0)} % of its time` : "";
  return `**The machine was busy with other work during ${disturbed} of ${values} measurements** (up to ${number(mostCores)} cores${steal}): their absolute figures (†) mean little.`;
}

const table = (lines: readonly (readonly string[])[]): string =>
  lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");

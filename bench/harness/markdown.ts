import { disturbanceOf, isBusy, ratioOf, spreadOf, type Spread } from "./summary.ts";
import type { Claim, Row, Samples, SuiteResult } from "./suite.ts";

/** A suite's result as Markdown: a table of medians with their ranges and ratios, what has to hold, and the notes. */
export function markdownOf(title: string, result: SuiteResult): string {
  const parts = [`### ${title}`];
  for (const rows of byContenders(result.rows)) parts.push(figuresTable(rows));
  if (result.claims.length > 0) parts.push(claimsTable(result.claims));
  parts.push(
    [RATIO_NOTE, ...result.notes, disturbanceNote(result.rows)].map((note) => `- ${note}`).join("\n"),
  );
  return parts.join("\n\n");
}

const RATIO_NOTE =
  "Medians with the lowest and the highest value, of runs in turns; **bold**: ours ÷ this one's, the median of the rounds.";

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
  const titles = ["", ...(rows[0]?.samples ?? []).map(({ contender }) => contender)];
  const aligned = [":--", ...titles.slice(1).map(() => "--:")];
  const lines = rows.map((row) => {
    const [ours, ...others] = row.samples;
    if (ours === undefined) return [describe(row)];
    return [describe(row), cell(ours), ...others.map((theirs) => cell(theirs) + ratioText(ours, theirs))];
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

/** Nothing where there is none to be told. */
function ratioText(ours: Samples, theirs: Samples): string {
  if (theirs.reference) return "";
  const { median } = ratioOf(ours.values, theirs.values);
  return Number.isNaN(median) ? "" : ` · **${number(median)} ×**`;
}

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

import type { SpaceRecord } from "../space-file.ts";
import pc from "picocolors";
import { tableLines, type Column } from "./table.ts";

type ScoreRow = SpaceRecord["heldOut"][number];

const columns: readonly Column<ScoreRow>[] = [
  { title: "predicted by", cell: (score) => score.name, align: "left", expendable: 0 },
  { title: "in the tokens of", cell: (score) => score.vocabulary, align: "left", expendable: 2 },
  { title: "tokens", cell: (score) => String(score.tokens), align: "right", expendable: 1 },
  {
    title: "nats/token",
    cell: (score) => fixed(score.nats === null ? null : score.nats / score.tokens),
    align: "right",
    expendable: 0,
  },
  { title: "bits/byte", cell: (score) => fixed(score.bitsPerByte), align: "right", expendable: 0 },
];

/** Scores as lines for a terminal of `width` characters, a table for each domain. */
export function scoreLines(scores: readonly ScoreRow[], width: number): string[] {
  const domains = [...new Set(scores.map(({ domain }) => domain))];
  return domains.flatMap((domain) => {
    const own = scores.filter((score) => score.domain === domain);
    const table = tableLines(columns, own, width);
    return domains.length > 1 ? ["", pc.bold(domain)].concat(table) : table;
  });
}

function fixed(value: number | null): string {
  return value === null ? "–" : value.toFixed(4);
}

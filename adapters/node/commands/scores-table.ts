import type { TextScore } from "../../../src/ensemble/evaluate-text.ts";
import { tableLines, type Column } from "./table.ts";

const columns: readonly Column<TextScore>[] = [
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

/** Scores as lines for a terminal of `width` characters. */
export function scoreLines(scores: readonly TextScore[], width: number): string[] {
  return tableLines(columns, scores, width);
}

function fixed(value: number | null): string {
  return value === null ? "–" : value.toFixed(4);
}

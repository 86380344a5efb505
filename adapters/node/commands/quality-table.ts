import type { QualityCurves, QualityPoint } from "../../../src/ensemble/quality-curves.ts";
import { tableLines, type Column } from "./table.ts";

interface Row extends QualityPoint {
  readonly maps: string;
}

/** Loss by dimension and by tokens of the fit as lines for a terminal of `width` characters. */
export function qualityLines(curves: QualityCurves, width: number): string[] {
  const { ids, byDimension, byTokens, refined, reportPositions } = curves;
  const rows = [...byTokens.slice(0, -1), ...byDimension].map((point) => rowOf(point, "closed form"));
  if (refined !== null) rows.push(rowOf(refined, "refined"));
  const columns: Column<Row>[] = [
    { title: "maps", cell: (row) => row.maps, align: "left", expendable: 1 },
    { title: "k", cell: (row) => String(row.dimension), align: "right", expendable: 0 },
    { title: "fitted on tokens", cell: (row) => String(row.tokens), align: "right", expendable: 0 },
    { title: "fused", cell: (row) => row.nats.toFixed(4), align: "right", expendable: 0 },
    ...ids.map((id, m): Column<Row> => ({
      title: id,
      cell: (row) => row.memberNats[m]?.toFixed(4) ?? "–",
      align: "right",
      expendable: 2,
    })),
  ];
  return [
    `Nats per token of ${ids[0]} at ${reportPositions} positions of held-back documents that are fused: of the fused answer and of each ` +
      "member read through the space; at full rank, the last of the closed form, each is its own head's, and fused " +
      "is the log-linear pool of these.",
    ...tableLines(columns, rows, width),
  ];
}

function rowOf(point: QualityPoint, maps: string): Row {
  return { ...point, maps };
}

import { ckaMatrix, fitStandardisation, standardise } from "../../src/alignment/cka.ts";
import type { CkaMap } from "../../src/alignment/cka-report.ts";
import { matrixFrom, type Matrix } from "../../src/linalg/matrix.ts";
import type { FitOutcome } from "./fit.ts";

export interface LayerComparison {
  /** For a file: `cka-a-b`. */
  readonly name: string;
  readonly map: CkaMap;
}

/** Debiased linear CKA of the standardised residual streams of every two members, at the layers that were tapped. */
export function compareLayers({ members, taps, record }: FitOutcome): LayerComparison[] {
  const standardised = taps.map(({ states }, m) =>
    states.map((rows): Matrix => {
      const width = members[m]?.width ?? 1;
      const matrix = matrixFrom(rows.length / width, width, rows);
      return standardise(matrix, fitStandardisation(matrix));
    }),
  );
  const places = standardised[0]?.[0]?.rows ?? 0;
  const comparisons: LayerComparison[] = [];
  for (const [i, a] of members.entries()) {
    for (const [j, b] of members.entries()) {
      const [rows, columns] = [standardised[i], standardised[j]];
      if (j <= i || !rows || !columns) continue;
      comparisons.push({
        name: `cka-${a.id}-${b.id}`,
        map: {
          title: `Similarity of layers: ${a.id} and ${b.id}`,
          description:
            `Debiased linear CKA of standardised residual streams at ${places} shared word ends of ` +
            `${record.corpus.name}, the document start left out.`,
          rows: { name: a.id, layers: taps[i]?.layers ?? [], depth: a.layers },
          columns: { name: b.id, layers: taps[j]?.layers ?? [], depth: b.layers },
          values: ckaMatrix(rows, columns),
        },
      });
    }
  }
  return comparisons;
}

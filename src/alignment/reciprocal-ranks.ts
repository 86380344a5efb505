import { normaliseRows } from "./sentence-space.ts";

/**
 * How well each row of A (n, r) finds its own row of B (n, r) by cosine, and the reverse: (1/rank_AB + 1/rank_BA) / 2 of
 * each pair (n), in (0, 1], where rank_AB = 1 + #{j ≠ i : cos(a_i, b_j) ≥ cos(a_i, b_i)}, so that equal cosines count
 * against it. Their mean is the mean reciprocal rank. Cost 2n²r.
 * @throws RangeError when A and B are not as many rows of width r, or none
 */
export function reciprocalRanks(a: Float32Array, b: Float32Array, dimension: number): Float64Array {
  const rows = a.length / dimension;
  if (a.length !== b.length || !Number.isInteger(rows) || rows === 0) {
    throw new RangeError(
      `reciprocalRanks: ${a.length} and ${b.length} numbers are no pairs of width ${dimension}`,
    );
  }
  const left = normaliseRows(a, dimension);
  const right = normaliseRows(b, dimension);
  const cosine = (i: number, j: number): number => {
    let sum = 0;
    for (let k = 0; k < dimension; k++) sum += left[i * dimension + k]! * right[j * dimension + k]!;
    return sum;
  };
  const own = Float64Array.from({ length: rows }, (_, i) => cosine(i, i));
  const forth = new Float64Array(rows).fill(1);
  const back = new Float64Array(rows).fill(1);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rows; j++) {
      if (i === j) continue;
      const other = cosine(i, j);
      if (other >= own[i]!) forth[i]!++;
      if (other >= own[j]!) back[j]!++;
    }
  }
  return forth.map((rank, i) => (1 / rank + 1 / back[i]!) / 2);
}

import { multiplyNT } from "./product.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { SymmetricEigen } from "./symmetric-eigen.ts";

/**
 * Power of a positive semidefinite matrix: A^p = V diag(max(λ, floor·λ_max)^p) Vᵀ. Exponents ½ and −½ with the same
 * floor give matrices that are inverse to each other exactly where A itself may have lost rank.
 * Input: A's decomposition (n) and the floor as a share of the largest eigenvalue, in [0, 1) → (n, n) symmetric.
 * Cost 2n³.
 * @throws RangeError when A has no positive eigenvalue, or when an eigenvalue after the floor is not positive
 */
export function symmetricPower(eigen: SymmetricEigen, exponent: number, floor: number): Matrix {
  const n = eigen.values.length;
  const largest = eigen.values[0] ?? 0;
  if (!(largest > 0)) {
    throw new RangeError(`symmetricPower: expected a positive eigenvalue, the largest of ${n} is ${largest}`);
  }
  const scaled = createMatrix(n, n);
  const powers = eigen.values.map((value) => {
    const kept = Math.max(value, floor * largest);
    if (!(kept > 0)) {
      throw new RangeError(
        `symmetricPower: eigenvalue ${value} has no power ${exponent}; raise the floor ${floor}`,
      );
    }
    return kept ** exponent;
  });
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) scaled.data[i * n + j] = eigen.vectors.data[i * n + j]! * powers[j]!;
  }
  return multiplyNT(scaled, eigen.vectors);
}

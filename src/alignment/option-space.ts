import { createMatrix, type Matrix, rowBlock, sideBySide } from "../linalg/matrix.ts";
import { addGram, multiply } from "../linalg/product.ts";
import { symmetricEigen } from "../linalg/symmetric-eigen.ts";

/** A space in which the members' states of an item's options meet: z = Σ_m P_mᵀ x_m. */
export interface OptionSpace {
  /** k. */
  readonly dimension: number;
  /** P_m (d_m, k) of each member. */
  readonly projections: readonly Matrix[];
}

/**
 * The k directions of most variance of the members' states side by side, every feature over its deviation:
 * P = [P_1; …; P_m] = S⁻¹V / √Σ d_m, V the leading eigenvectors of S⁻¹XᵀXS⁻¹, X = [X_1 … X_m] (n, Σ d_m), S diagonal with
 * the columns' root mean squares. At full rank the fitted states then have a mean square length of 1.
 * Cost n(Σ d)² + 9(Σ d)³. Kettenring 1971, SUMCOR without whitening.
 * @param blocks X_m (n, d_m) of each member; the rows of one item sum to 0
 * @throws RangeError when there are no rows, or the blocks differ in their number
 */
export function fitOptionSpace(blocks: readonly Matrix[], dimension: number): OptionSpace {
  const joined = sideBySide(blocks);
  const { rows, columns } = joined;
  if (rows === 0) throw new RangeError("fitOptionSpace: expected states, got none");
  const gram = createMatrix(columns, columns);
  addGram(gram, joined);
  // A feature that is the same for all options of every item is left out.
  const inverse = Float64Array.from({ length: columns }, (_, j) => {
    const square = gram.data[j * (columns + 1)]!;
    return square > 0 ? Math.sqrt(rows / square) : 0;
  });
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < columns; j++) gram.data[i * columns + j]! *= inverse[i]! * inverse[j]!;
  }
  const { vectors } = symmetricEigen(gram);
  const k = Math.min(dimension, columns, rows);
  const projection = createMatrix(columns, k);
  for (let i = 0; i < columns; i++) {
    const scale = inverse[i]! / Math.sqrt(columns);
    for (let j = 0; j < k; j++) projection.data[i * k + j] = scale * vectors.data[i * columns + j]!;
  }
  let first = 0;
  const projections = blocks.map((block) => {
    const own = rowBlock(projection, first, block.columns);
    first += block.columns;
    return own;
  });
  return { dimension: k, projections };
}

/** Z = Σ_m X_m P_m (n, k). @throws RangeError when the blocks are not the members' */
export function projectOptions({ dimension, projections }: OptionSpace, blocks: readonly Matrix[]): Matrix {
  if (blocks.length !== projections.length) {
    throw new RangeError(
      `projectOptions: expected ${projections.length} members' states, got ${blocks.length}`,
    );
  }
  const sum = createMatrix(blocks[0]?.rows ?? 0, dimension);
  for (const [m, projection] of projections.entries()) {
    const part = multiply(blocks[m]!, projection);
    if (part.rows !== sum.rows) {
      throw new RangeError(`projectOptions: member ${m} has ${part.rows} states, the first ${sum.rows}`);
    }
    for (let i = 0; i < sum.data.length; i++) sum.data[i]! += part.data[i]!;
  }
  return sum;
}

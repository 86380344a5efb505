import { sideBySide, createMatrix, firstColumns, type Matrix, rowBlock } from "../linalg/matrix.ts";
import { addGram, multiply } from "../linalg/product.ts";
import { symmetricEigen } from "../linalg/symmetric-eigen.ts";
import { fitStandardisation, standardise, type Standardisation } from "./cka.ts";

/**
 * A space in which the members' states of an item's options meet: z = Σ_m P_mᵀ x_m, x_m the state less the mean of the
 * item's options, each feature over its deviation.
 */
export interface OptionSpace {
  /** k. */
  readonly dimension: number;
  readonly members: readonly {
    readonly standardisation: Standardisation;
    /** P_m (d_m, k). */
    readonly projection: Matrix;
  }[];
}

/**
 * The k directions of most variance of the members' standardised states side by side: P = [P_1; …; P_m] are the leading
 * eigenvectors of XᵀX / n, X = [X_1 … X_m] (n, Σ d_m), over √Σ d_m, so that states at full rank have a mean square
 * length of 1. Cost n(Σ d)² + 9(Σ d)³. Kettenring 1971 (SUMCOR without whitening).
 * @param blocks X_m (n, d_m) of each member; rows of one item sum to 0
 * @throws RangeError when the blocks have no rows or differ in their number
 */
export function fitOptionSpace(blocks: readonly Matrix[], dimension: number): OptionSpace {
  const standardisations = blocks.map(fitStandardisation);
  const joined = sideBySide(blocks.map((block, m) => standardise(block, standardisations[m]!)));
  const gram = createMatrix(joined.columns, joined.columns);
  addGram(gram, joined);
  const k = Math.min(dimension, joined.columns, joined.rows);
  const { vectors } = symmetricEigen(gram);
  const scale = 1 / Math.sqrt(joined.columns);
  const projection = firstColumns({ ...vectors, data: vectors.data.map((x) => scale * x) }, k);
  let first = 0;
  const members = standardisations.map((standardisation) => {
    const width = standardisation.mean.length;
    const own = rowBlock(projection, first, width);
    first += width;
    return { standardisation, projection: own };
  });
  return { dimension: k, members };
}

/** Z = Σ_m standardised X_m P_m (n, k). @throws RangeError when the blocks are not the members' */
export function projectOptions({ dimension, members }: OptionSpace, blocks: readonly Matrix[]): Matrix {
  if (blocks.length !== members.length) {
    throw new RangeError(`projectOptions: expected ${members.length} members' states, got ${blocks.length}`);
  }
  const sum = createMatrix(blocks[0]?.rows ?? 0, dimension);
  for (const [m, { standardisation, projection }] of members.entries()) {
    const part = multiply(standardise(blocks[m]!, standardisation), projection);
    if (part.rows !== sum.rows) {
      throw new RangeError(`projectOptions: member ${m} has ${part.rows} states, the first ${sum.rows}`);
    }
    for (let i = 0; i < sum.data.length; i++) sum.data[i] = sum.data[i]! + part.data[i]!;
  }
  return sum;
}

import { createMatrix, shape, type Matrix } from "../linalg/matrix.ts";
import { unbiasedHsic, type HollowGram } from "./hsic.ts";

/** Debiased linear CKA of data that is never held all at once. */
export interface MinibatchCka {
  /**
   * Adds a minibatch: the Gram matrices of the same n rows at each layer of X and of Y (see `hollowGram`).
   * @throws RangeError when their numbers are not those of the layers, or their rows differ
   */
  add(xs: readonly HollowGram[], ys: readonly HollowGram[]): void;
  readonly batches: number;
  /** (layers of X, layers of Y); NaN where a layer has not varied. */
  result(): Matrix;
}

/**
 * CKA between every layer of X and every layer of Y, from minibatches of rows: Σ HSIC_u(K, L) / √(Σ HSIC_u(K, K) Σ HSIC_u(L, L)),
 * sums over the batches. HSIC_u of a batch has the mean of the whole population, so the batches' size does not bias the three
 * sums, and the value goes to the CKA of all rows as batches come in. Rows must be scaled alike in all batches. At most 1 in
 * the limit; of few batches it may be above. Cost 2n² a pair and batch; memory a number a pair and a layer.
 * Nguyen, Raghu & Kornblith 2021, eq. 2 and 3.
 */
export function createMinibatchCka(layersX: number, layersY: number): MinibatchCka {
  const crossed = createMatrix(layersX, layersY);
  const selfX = new Float64Array(layersX);
  const selfY = new Float64Array(layersY);
  let batches = 0;
  return {
    add(xs, ys) {
      const rows = xs[0]?.gram.rows;
      const odd = [...xs, ...ys].find(({ gram }) => gram.rows !== rows);
      if (xs.length !== layersX || ys.length !== layersY || odd) {
        throw new RangeError(
          `minibatch CKA: expected ${layersX} and ${layersY} layers of the same rows, got ${xs.length} and ${ys.length}` +
            (odd ? `, one of ${shape(odd.gram)} beside ${rows} rows` : ""),
        );
      }
      for (const [i, k] of xs.entries()) {
        selfX[i]! += k.self;
        for (const [j, l] of ys.entries()) crossed.data[i * layersY + j]! += unbiasedHsic(k, l);
      }
      for (const [j, l] of ys.entries()) selfY[j]! += l.self;
      batches++;
    },
    get batches() {
      return batches;
    },
    result() {
      const data = crossed.data.map((value, at) => {
        const [x, y] = [selfX[Math.floor(at / layersY)]!, selfY[at % layersY]!];
        return x > 0 && y > 0 ? value / Math.sqrt(x * y) : NaN;
      });
      return { ...crossed, data };
    },
  };
}

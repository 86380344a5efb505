import { InferenceSession, Tensor } from "onnxruntime-node";
import type { MatrixProduct } from "../../src/alignment/decoder-matrix.ts";
import { buildProduct, PRODUCT_PORTS } from "../../src/weights/product.ts";

/** Large float32 products on every core. They hold the thread while they run: for fits, not while answering. */
export async function createOnnxProduct(): Promise<MatrixProduct> {
  const session = await InferenceSession.create(buildProduct());
  return async (a, b, depth) => {
    const results = await session.run({
      [PRODUCT_PORTS.a]: new Tensor("float32", a, [a.length / depth, depth]),
      [PRODUCT_PORTS.b]: new Tensor("float32", b, [b.length / depth, depth]),
    });
    const product = results[PRODUCT_PORTS.product]?.data;
    if (!(product instanceof Float32Array)) throw new Error("onnx product: expected float32 numbers");
    return product;
  };
}

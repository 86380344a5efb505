import { expect, test } from "vitest";
import { checkProvider, openNativeSession } from "../../adapters/node/native-session.ts";

/** No build of onnxruntime has the other system's. */
const MISSING = process.platform === "darwin" ? "dml" : "coreml";

test("the processor can always be used", () => {
  expect(() => checkProvider("cpu")).not.toThrow();
});

test("a provider that is not there is refused with why, and with those that there are", () => {
  expect(() => checkProvider(MISSING)).toThrow(
    new RegExp(`provider ${MISSING}: cannot be used here .*does not have it.* is built for cpu`),
  );
});

test("no graph runs on the processor in its stead", () => {
  expect(() => openNativeSession({ path: "none.onnx", threads: 1, provider: MISSING })).toThrow(
    "does not have it",
  );
});

import { readFileSync } from "node:fs";
import koffi from "koffi";
import { describe, expect, test } from "vitest";
import { nativeCode, nativeFloats } from "../../adapters/node/native-memory.ts";
import { numberCode } from "../../adapters/node/x64/operator.ts";

/** Of this process, bytes. */
const resident = (): number =>
  1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

describe("native memory", () => {
  test("is zeros, and usable again after its place was given back", () => {
    const memory = nativeFloats(1 << 20);
    expect(memory.values[12_345]).toBe(0);
    memory.values.fill(7);
    memory.discard();
    memory.values[12_345] = 3;
    expect(memory.values[12_345]).toBe(3);
    memory.release();
  });

  test.runIf(process.platform === "linux")(
    "takes place where it is written to, until it is given back",
    () => {
      const megabytes = 64;
      const memory = nativeFloats((megabytes << 20) / 4);
      const before = resident();
      memory.values.fill(7);
      const written = resident();
      memory.discard();
      const after = resident();
      expect(written - before).toBeGreaterThan((megabytes - 8) << 20);
      expect(written - after).toBeGreaterThan((megabytes - 8) << 20);
      memory.release();
    },
  );

  test("of no numbers is nothing", () => {
    const memory = nativeFloats(0);
    expect(memory.values).toHaveLength(0);
    memory.discard();
    memory.release();
  });

  test.runIf(process.platform === "linux" && process.arch === "x64")("runs code", () => {
    const code = nativeCode([numberCode(41n), numberCode(1n)]);
    const [first, second] = code.addresses.map(
      (address) => koffi.decode(address, koffi.proto("int64_t ()")) as () => number,
    );
    expect(first?.()).toBe(41);
    expect(second?.()).toBe(1);
    code.release();
  });
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("a process that ends while a member computes ends with its own exit code", async () => {
  const script = fileURLToPath(new URL("./exit-while-reading.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script], { stdio: ["ignore", "ignore", "pipe"] });
  let complaints = "";
  child.stderr.on("data", (text: Buffer) => {
    complaints += text.toString();
  });
  const [code, signal] = await once(child, "exit");
  expect({ code, signal, complaints }).toStrictEqual({ code: 3, signal: null, complaints: "" });
});

import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { createComputeGate } from "../../adapters/node/compute-gate.ts";
import { openWorkerChannel, type ModelWorker } from "../../adapters/node/worker-channel.ts";

/** A worker that reports itself ready and then does `onMessage` with each message. */
function scriptedWorker(onMessage: string): ModelWorker {
  const script = `
    const { parentPort } = require("node:worker_threads");
    parentPort.on("message", (messages) => { for (const message of messages) { ${onMessage} } });
    parentPort.postMessage([{ kind: "ready" }]);`;
  return modelWorker(script);
}

function modelWorker(script: string): ModelWorker {
  return { worker: new Worker(script, { eval: true }), gate: createComputeGate() };
}

const decodeRequest = () => ({ kind: "decode" as const, rows: 1, states: new Float32Array(4) });

test("a worker that throws loses every open and every later request, with the reason", async () => {
  const channel = await openWorkerChannel("toy", scriptedWorker(`throw new Error("out of paper")`));
  const open = [channel.decode(decodeRequest()), channel.decode(decodeRequest())];
  for (const lost of await Promise.allSettled(open)) {
    expect(lost).toMatchObject({
      status: "rejected",
      reason: { code: "members_lost", message: expect.stringContaining("out of paper") },
    });
  }
  await expect(channel.decode(decodeRequest())).rejects.toMatchObject({ code: "members_lost" });
  await channel.close();
});

test("a worker that exits loses its requests, with the exit code", async () => {
  const channel = await openWorkerChannel("toy", scriptedWorker("process.exit(7)"));
  await expect(channel.decode(decodeRequest())).rejects.toMatchObject({
    code: "members_lost",
    message: expect.stringContaining("code 7"),
  });
});

test("a worker that dies before it is ready is lost", async () => {
  await expect(openWorkerChannel("toy", modelWorker(`throw new Error("no graph")`))).rejects.toMatchObject({
    code: "members_lost",
    message: expect.stringContaining("no graph"),
  });
});

test("a failed request fails alone", async () => {
  const answer = `
    if (message.kind === "close") return parentPort.close();
    const fails = message.id === 1;
    parentPort.postMessage([fails
      ? { kind: "failure", id: message.id, message: "no room" }
      : { kind: "result", id: message.id, result: { logits: new Float32Array([message.id]) } }]);`;
  const channel = await openWorkerChannel("toy", scriptedWorker(answer));
  const [first, second] = await Promise.allSettled([
    channel.decode(decodeRequest()),
    channel.decode(decodeRequest()),
  ]);
  expect(first).toMatchObject({ status: "rejected", reason: { code: "internal", message: "toy: no room" } });
  expect(second).toMatchObject({ status: "fulfilled", value: { logits: Float32Array.of(2) } });
  await channel.close();
});

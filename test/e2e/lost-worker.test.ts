import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { closeGate } from "../../adapters/node/compute-gate.ts";
import { openEnsemble, type OpenEnsemble } from "../../adapters/node/open-ensemble.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { superviseBy } from "../../adapters/node/supervision.ts";
import { startModelWorker, type ModelWorker } from "../../adapters/node/worker-channel.ts";
import { createEngine } from "../../src/ensemble/engine.ts";
import { createSupervisedMember, type SupervisedMember } from "../../src/ensemble/supervised-member.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { plainSampling, type AnswerEvent, type Engine } from "../../src/ports/engine.ts";
import { openMember } from "../open-member.ts";

const ANCHOR = "smollm2-135m-instruct";
const TIMEOUT_MS = 10_000;
const TOKENS = 24;

let opened: OpenEnsemble;
let anchor: SupervisedMember;
/** Every thread that the anchor has had. */
const threads: ModelWorker[] = [];
let engine: Engine;

const startWorker: typeof startModelWorker = (...args) => {
  const thread = startModelWorker(...args);
  threads.push(thread);
  return thread;
};

/** The shipped ensemble, whose anchor runs on threads that the test can reach. */
beforeAll(async () => {
  opened = await openEnsemble({ progress: createProgressBar() });
  anchor = await createSupervisedMember({
    id: ANCHOR,
    start: (signal) => openMember(ANCHOR, { signal, startWorker }),
    ...superviseBy({ memberTimeoutMs: TIMEOUT_MS }),
  });
  const [, ...followers] = opened.ensemble.members;
  // They load their heads when first asked, which is not what is timed here.
  for (const { head } of followers) await head.decode(new Float32Array(head.width));
  engine = createEngine({
    ensemble: { ...opened.ensemble, members: [anchor, ...followers] },
    log: { append: async () => {}, list: async () => [], find: async () => null, close: async () => {} },
    clock: systemClock,
    keepText: false,
  });
});

afterAll(async () => {
  await anchor?.close();
  await opened?.close();
});

/** Asks, and breaks the anchor's present thread after the third piece of the answer. */
async function ask(breaking?: (thread: ModelWorker) => void) {
  const events: AnswerEvent[] = [];
  let longestMs = 0;
  let last = performance.now();
  for await (const event of engine.answer({
    requestId: "lost-worker",
    model: "concord",
    endpoint: "chat.completions",
    prompt: { kind: "chat", messages: [{ role: "user", content: "Name three rivers in France." }] },
    maxTokens: TOKENS,
    stop: [],
    sampling: { ...plainSampling, temperature: 0 },
    topLogprobs: null,
    echo: false,
  })) {
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
    events.push(event);
    const thread = threads.at(-1);
    if (events.length === 3 && thread) breaking?.(thread);
  }
  const end = events.at(-1);
  if (end?.type !== "end") throw new Error("the answer has no end");
  const text = events.map((event) => (event.type === "delta" ? event.text : "")).join("");
  const lost = end.report.members.flatMap((member) =>
    member.lost ? [{ id: member.id, ...member.lost }] : [],
  );
  return { text, lost, end, longestMs };
}

async function untilUp(): Promise<void> {
  await expect.poll(() => anchor.health.state, { timeout: 40_000, interval: 100 }).toBe("up");
}

describe("an anchor whose thread", { timeout: 120_000 }, () => {
  it.each<[string, (thread: ModelWorker) => void, string]>([
    ["ends", ({ worker }) => void worker.terminate(), "its worker ended with code 1"],
    ["hangs", ({ gate }) => closeGate(gate, 0), `no answer within ${TIMEOUT_MS} ms`],
  ])(
    "%s is lost, Gemma goes on with the answer, and the next one has both again",
    async (_, breaking, why) => {
      await untilUp();
      const sound = await ask();
      const started = threads.length;
      const { text, lost, end, longestMs } = await ask(breaking);
      expect(lost).toEqual([{ id: ANCHOR, position: 3, reason: `${ANCHOR}: ${why}` }]);
      expect(text).not.toContain("\uFFFD");
      expect(end.usage.completionTokens).toBeGreaterThan(3);
      expect(end.report.bitsPerByte).toBeGreaterThan(0);
      expect(longestMs).toBeLessThan(2 * TIMEOUT_MS);
      await untilUp();
      expect(threads).toHaveLength(started + 1);
      const again = await ask();
      expect([again.text, again.lost]).toEqual([sound.text, []]);
    },
  );
});

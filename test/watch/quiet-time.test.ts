import { describe, expect, test } from "vitest";
import { createQuietTime } from "../../src/watch/quiet-time.ts";
import { createManualTimers, turn } from "../manual-timers.ts";

const never = new AbortController().signal;

function quietTime() {
  const timers = createManualTimers();
  return { timers, quiet: createQuietTime(timers, 1000) };
}

async function settledWith(promise: Promise<AbortSignal>): Promise<AbortSignal | null> {
  return Promise.race([promise, turn().then(() => null)]);
}

describe("quiet time", () => {
  test("comes when nobody has waited for so long, and not before", async () => {
    const { timers, quiet } = quietTime();
    const over = quiet.begin();
    const next = quiet.next(never);
    timers.advance(5000);
    expect(await settledWith(next)).toBeNull();
    over();
    timers.advance(999);
    expect(await settledWith(next)).toBeNull();
    timers.advance(1);
    expect((await settledWith(next))?.aborted).toBe(false);
  });

  test("ends as soon as somebody waits, and comes again after the last of them", async () => {
    const { timers, quiet } = quietTime();
    timers.advance(1000);
    const first = await quiet.next(never);
    const [one, two] = [quiet.begin(), quiet.begin()];
    expect(first.aborted).toBe(true);
    one();
    one();
    timers.advance(2000);
    const next = quiet.next(never);
    expect(await settledWith(next)).toBeNull();
    two();
    timers.advance(1000);
    expect(await settledWith(next)).not.toBe(first);
    expect((await next).aborted).toBe(false);
  });

  test("is not waited for by one who has given up", async () => {
    const { quiet } = quietTime();
    const giveUp = new AbortController();
    const next = quiet.next(giveUp.signal);
    giveUp.abort(new Error("enough"));
    await expect(next).rejects.toThrow("enough");
    await expect(quiet.next(giveUp.signal)).rejects.toThrow("enough");
  });
});

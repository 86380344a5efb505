import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";

/** A stream that keeps what is written, and a clock that the test moves. */
function screen(terminal: { readonly columns: number } | null) {
  const stream = new PassThrough().setEncoding("utf8");
  if (terminal) Object.assign(stream, { isTTY: true, columns: terminal.columns });
  const time = { ms: 0 };
  const clock = { now: () => time.ms, monotonic: () => time.ms };
  const text = (): string => (stream.read() as string | null) ?? "";
  return { time, text, bar: createProgressBar(stream, clock) };
}

test("without a terminal a stage is a line at its start, one every ten seconds, and one at its end", () => {
  const { bar, time, text } = screen(null);
  bar.stage("weights", 200e6, "bytes");
  expect(text()).toBe("weights (200 MB)\n");
  for (let second = 0; second <= 25; second++) {
    time.ms = 1000 * second;
    bar.update(second * 4e6);
  }
  expect(text().split("\n")).toEqual([
    "weights: 20 % of 200 MB, 4.0 MB/s, 40 s left",
    "weights: 40 % of 200 MB, 4.0 MB/s, 30 s left",
    "",
  ]);
  time.ms = 50_000;
  bar.update(200e6);
  text();
  bar.finish();
  bar.finish();
  expect(text()).toBe("weights: done in 50 s\n");
});

test("a stage that ends early says how far it came", () => {
  const { bar, text } = screen(null);
  bar.stage("fitting", 200, "steps");
  bar.update(50);
  bar.note("the disk is full");
  expect(text()).toBe("fitting (200 steps)\nfitting: stopped at 25 % of 200 steps\nthe disk is full\n");
});

test("what a continued download starts from does not count as speed", () => {
  const { bar, time, text } = screen(null);
  bar.stage("weights", 200e6, "bytes");
  bar.update(100e6);
  time.ms = 10_000;
  bar.update(110e6);
  expect(text()).toBe("weights (200 MB)\nweights: 55 % of 200 MB, 1.0 MB/s, 1 min 30 s left\n");
});

test("on a terminal the bar shows share, amount, speed and time left in one line", () => {
  const { bar, time, text } = screen({ columns: 100 });
  bar.stage("weights", 200e6, "bytes");
  bar.update(0);
  time.ms = 1000;
  bar.update(50e6);
  bar.finish();
  expect(text()).toContain(`weights ${"█".repeat(6)}${"░".repeat(18)} 25 % of 200 MB, 50.0 MB/s, 3 s left`);
});

test("on a narrow terminal the bar goes first, then the end of the label", () => {
  const { bar, text } = screen({ columns: 30 });
  bar.stage("a-very-long-file-name.gguf: downloading", 200e6, "bytes");
  bar.update(50e6);
  bar.finish();
  const drawn = text();
  expect(drawn).toContain("a-very-long-f… 25 % of 200 MB");
  expect(drawn).not.toContain("░");
});

import { SingleBar } from "cli-progress";
import { systemClock, type Clock } from "../../src/ports/clock.ts";
import type { Progress } from "../../src/ports/progress.ts";

export interface ProgressBar extends Progress {
  /** Writes a line of its own; on a terminal the running bar ends above it. */
  note(line: string): void;
}

type Unit = "bytes" | "tokens" | "answers" | "steps";

/** How far a stage is, and how fast it was over the last seconds. */
interface StageState {
  readonly label: string;
  readonly total: number;
  readonly unit: Unit;
  readonly startedMs: number;
  done: number;
  /** [monotonic milliseconds, units done], oldest first. */
  samples: (readonly [atMs: number, done: number])[];
}

const SPEED_WINDOW_MS = 5_000;
const PLAIN_LINE_EVERY_MS = 10_000;
const SAMPLE_EVERY_MS = 200;
const BAR_WIDTH = 24;
const NARROWEST_BAR = 6;

/** A bar on a terminal; plain lines elsewhere: at a stage's start, about every ten seconds, and at its end. */
export function createProgressBar(
  stream: NodeJS.WriteStream | NodeJS.WritableStream = process.stderr,
  clock: Clock = systemClock,
): ProgressBar {
  return "isTTY" in stream && stream.isTTY
    ? createTerminalBar(stream, clock)
    : createPlainLines(stream, clock);
}

function createTerminalBar(stream: NodeJS.WritableStream, clock: Clock): ProgressBar {
  let stage: StageState | null = null;
  let bar: SingleBar | null = null;
  const finish = (): void => {
    bar?.stop();
    bar = null;
    stage = null;
  };
  return {
    stage(label, total, unit) {
      finish();
      const state = startStage(label, total, unit, clock);
      stage = state;
      bar = new SingleBar({
        stream,
        hideCursor: true,
        format: (_options, { progress, maxWidth }) => drawLine(state, progress, maxWidth),
      });
      bar.start(total, 0);
    },
    update(done) {
      if (stage) sample(stage, done, clock.monotonic());
      bar?.update(done);
    },
    finish,
    note(line) {
      finish();
      stream.write(`${line}\n`);
    },
  };
}

function createPlainLines(stream: NodeJS.WritableStream, clock: Clock): ProgressBar {
  let stage: StageState | null = null;
  let lineAtMs = 0;
  const write = (line: string): void => {
    stream.write(`${line}\n`);
    lineAtMs = clock.monotonic();
  };
  const finish = (): void => {
    if (stage)
      write(
        `${stage.label}: ${stage.done >= stage.total ? ended(stage, clock) : `stopped at ${describe(stage)}`}`,
      );
    stage = null;
  };
  return {
    stage(label, total, unit) {
      finish();
      stage = startStage(label, total, unit, clock);
      write(`${label} (${amount(total, unit)})`);
    },
    update(done) {
      if (!stage) return;
      const now = clock.monotonic();
      sample(stage, done, now);
      if (now - lineAtMs >= PLAIN_LINE_EVERY_MS) write(`${stage.label}: ${describe(stage)}`);
    },
    finish,
    note(line) {
      finish();
      write(line);
    },
  };
}

const startStage = (label: string, total: number, unit: Unit, clock: Clock): StageState => ({
  label,
  total,
  unit,
  startedMs: clock.monotonic(),
  done: 0,
  samples: [],
});

/** What a continued download starts from is the first sample: it was not brought just now. */
function sample(stage: StageState, done: number, nowMs: number): void {
  stage.done = done;
  const last = stage.samples.at(-1);
  if (last && nowMs - last[0] < SAMPLE_EVERY_MS) return;
  stage.samples.push([nowMs, done]);
  const [, second] = stage.samples;
  if (second && nowMs - second[0] > SPEED_WINDOW_MS) stage.samples.shift();
}

/** Units per second over the window; null before there are two samples apart. */
function speed(stage: StageState): number | null {
  const first = stage.samples[0];
  const last = stage.samples.at(-1);
  if (!first || !last || last[0] <= first[0]) return null;
  return (1000 * (last[1] - first[1])) / (last[0] - first[0]);
}

/** `43 % 42/98 MB, 5.1 MB/s, 11 s left` */
function describe(stage: StageState): string {
  const { done, total, unit } = stage;
  const percent = total === 0 ? 100 : Math.floor((100 * Math.min(done, total)) / total);
  const rate = speed(stage);
  const parts = [`${percent} % of ${amount(total, unit)}`];
  if (rate !== null && rate > 0) {
    parts.push(`${amount(rate, unit)}/s`);
    if (done < total) parts.push(`${duration((total - done) / rate)} left`);
  }
  return parts.join(", ");
}

const ended = (stage: StageState, clock: Clock): string =>
  `done in ${duration((clock.monotonic() - stage.startedMs) / 1000)}`;

/** Label, bar and figures in one line of the terminal: first the bar gives way, then the label's end. */
function drawLine(stage: StageState, progress: number, columns: number): string {
  const figures = describe(stage);
  const room = columns - figures.length - 2;
  const label = stage.label.length > room ? `${stage.label.slice(0, Math.max(0, room - 1))}…` : stage.label;
  const width = Math.min(BAR_WIDTH, room - label.length - 1);
  if (width < NARROWEST_BAR) return `${label} ${figures}`;
  const filled = Math.round(width * Math.min(1, Math.max(0, progress)));
  return `${label} ${"█".repeat(filled)}${"░".repeat(width - filled)} ${figures}`;
}

function amount(value: number, unit: Unit): string {
  if (unit !== "bytes") return `${Math.round(value)} ${unit}`;
  return value >= 1e8 ? `${Math.round(value / 1e6)} MB` : `${(value / 1e6).toFixed(1)} MB`;
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

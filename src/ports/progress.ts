/** Long work reports here; the CLI draws a bar with an ETA, tests count, a server stays silent. */
export interface Progress {
  /** A new stage of `total` units (bytes, tokens, answers, steps). Ends the stage before it. */
  stage(label: string, total: number, unit: "bytes" | "tokens" | "answers" | "steps"): void;
  /** Units done since the stage began. */
  update(done: number): void;
  /** The last stage is over. */
  finish(): void;
}

export const silentProgress: Progress = { stage() {}, update() {}, finish() {} };

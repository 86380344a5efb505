const controller = new AbortController();
let exitCode: number | null = null;

/** Aborted by the first Ctrl-C or SIGTERM, so that work can end in good order; a second one ends the process at once. */
export function interruption(): AbortSignal {
  if (process.listenerCount("SIGINT", stop) === 0) {
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  }
  return controller.signal;
}

/** The exit code of a process that was interrupted, as shells have it: 128 + the signal's number; else null. */
export function interruptedWith(): number | null {
  return exitCode;
}

function stop(signal: NodeJS.Signals): void {
  if (exitCode !== null) process.exit(exitCode);
  exitCode = signal === "SIGINT" ? 130 : 143;
  controller.abort(new Error(`interrupted by ${signal}`));
}

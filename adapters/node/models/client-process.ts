import { spawn, type ChildProcess } from "node:child_process";

export interface ClientRun {
  /** Null when the program is not installed. */
  readonly exitCode: number | null;
  /** The last lines of what it wrote. */
  readonly output: string;
}

export interface ClientOptions {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Bytes the client has on disk so far; asked four times a second. */
  readonly bytesSoFar: () => Promise<number>;
  readonly onBytes: (bytes: number) => void;
  /** Stopped when it neither writes nor says anything for this long, milliseconds. */
  readonly quietMs: number;
  readonly signal?: AbortSignal | undefined;
}

const OUTPUT_TAIL = 16_000;
const KILL_AFTER_MS = 2_000;
const WATCH_EVERY_MS = 250;

/**
 * Runs a package client (pip, mvn) and watches what it writes. Its whole process group ends with it.
 * @throws the signal's reason when aborted
 * @throws Error when the client stays quiet for too long
 */
export async function runClient(
  command: string,
  args: readonly string[],
  options: ClientOptions,
): Promise<ClientRun> {
  options.signal?.throwIfAborted();
  const posix = process.platform !== "win32";
  const child = spawn(command, args, {
    cwd: options.folder,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that a launcher script and what it started end together.
    detached: posix,
    // On Windows mvn is a batch file, which only a shell runs. The arguments come from the manifest alone.
    shell: !posix && command === "mvn",
    windowsHide: true,
  });
  let output = "";
  let lastSign = performance.now();
  const listen = (text: string): void => {
    output = (output + text).slice(-OUTPUT_TAIL);
    lastSign = performance.now();
  };
  child.stdout.setEncoding("utf8").on("data", listen);
  child.stderr.setEncoding("utf8").on("data", listen);

  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("close", (code) => resolve(code ?? 1));
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") resolve(null);
      else reject(error);
    });
  });
  const stop = (): void => stopGroup(child);
  options.signal?.addEventListener("abort", stop, { once: true });
  let quiet = false;
  let bytes = 0;
  let watching = false;
  const watch = setInterval(async () => {
    if (watching) return;
    watching = true;
    const now = await options.bytesSoFar().catch(() => bytes);
    watching = false;
    if (now !== bytes) lastSign = performance.now();
    bytes = now;
    options.onBytes(bytes);
    if (performance.now() - lastSign > options.quietMs && !quiet) {
      quiet = true;
      stop();
    }
  }, WATCH_EVERY_MS);
  try {
    const exitCode = await ended;
    options.signal?.throwIfAborted();
    if (quiet) {
      throw new Error(
        `${command} brought nothing for ${Math.round(options.quietMs / 1000)} s and was stopped`,
      );
    }
    return { exitCode, output: output.trim() };
  } finally {
    clearInterval(watch);
    options.signal?.removeEventListener("abort", stop);
  }
}

function stopGroup(child: ChildProcess): void {
  const send = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      if (process.platform === "win32") child.kill(signal);
      else process.kill(-child.pid, signal);
    } catch {
      // The group has ended already.
    }
  };
  send("SIGTERM");
  const force = setTimeout(() => send("SIGKILL"), KILL_AFTER_MS);
  child.once("close", () => clearTimeout(force));
}

/** Where a client says why it failed. */
export const lastLine = (output: string): string =>
  output.split("\n").findLast((line) => line.trim() !== "") ?? "it gave no reason";

import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";

/** Child processes of one run. Each is ended by its own id, and none outlives the run. */
export interface Children {
  /** Starts a program in the foreground of nothing: what it says is kept for its error message. */
  start(name: string, command: string, args: readonly string[], options?: SpawnOptions): Child;
  /** Ids of those that run: their time is ours, not the machine's. */
  pids(): readonly number[];
  /** Ends all of them: asked first, then killed. */
  close(): Promise<void>;
}

export interface Child {
  readonly name: string;
  readonly process: ChildProcess;
  readonly pid: number;
  /** Rejects when the process ends before somebody ended it, with the last that it said. */
  readonly failed: Promise<never>;
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>;
  /** The last that it wrote to its standard output and error. */
  said(): string;
  end(): Promise<void>;
}

const KILL_AFTER_MS = 3_000;
const KEPT_CHARACTERS = 4_000;

export function createChildren(): Children {
  const running = new Set<Child>();

  function start(name: string, command: string, args: readonly string[], options: SpawnOptions = {}): Child {
    const child = spawn(command, [...args], { stdio: ["ignore", "pipe", "pipe"], ...options });
    let said = "";
    const keep = (text: string): void => {
      said = (said + text).slice(-KEPT_CHARACTERS);
    };
    child.stdout?.setEncoding("utf8").on("data", keep);
    child.stderr?.setEncoding("utf8").on("data", keep);
    let ending = false;
    const exited = new Promise<number | null>((resolve) => {
      child.once("close", resolve);
      child.once("error", () => resolve(null));
    });
    const failed = new Promise<never>((_, reject) => {
      child.once("error", (cause) => reject(new Error(`${name} did not start: ${cause.message}`, { cause })));
      child.once("exit", (code, signal) => {
        if (!ending) reject(new Error(`${name} ended by itself (${code ?? signal}); it said last:\n${said}`));
      });
    });
    // Whoever waits for the child races against this; nobody has to.
    failed.catch(() => {});
    const result: Child = {
      name,
      process: child,
      pid: child.pid ?? -1,
      failed,
      exited,
      said: () => said,
      async end() {
        ending = true;
        if (child.exitCode === null && child.signalCode === null) {
          child.kill("SIGTERM");
          const kill = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
          await exited;
          clearTimeout(kill);
        }
        running.delete(result);
      },
    };
    running.add(result);
    // The last resort where this process leaves in a hurry: it has no time to ask.
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    void exited.then(() => {
      running.delete(result);
      process.off("exit", kill);
    });
    return result;
  }

  return {
    start,
    pids: () => [...running].map(({ pid }) => pid),
    close: async () => {
      await Promise.all([...running].map((child) => child.end()));
    },
  };
}

/** Waits for the work unless the child ends first or the run is called off. */
export async function whileRunning<T>(child: Child, work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const called = new AbortController();
  const off = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { signal: called.signal });
  });
  try {
    return await Promise.race([work, child.failed, off]);
  } finally {
    called.abort();
  }
}

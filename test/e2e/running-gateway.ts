import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { concordPaths } from "../../adapters/node/paths.ts";

const CONCORD = fileURLToPath(new URL("../../adapters/node/concord.js", import.meta.url));

/** A home of its own for the log and the maps; models and graphs are those that are there already. */
export async function createHome(): Promise<{ home: string; remove(): Promise<void> }> {
  const home = await mkdtemp(join(tmpdir(), "concord-home-"));
  const shared = concordPaths();
  await mkdir(shared.graphs, { recursive: true });
  await symlink(shared.models, join(home, "models"));
  await symlink(shared.graphs, join(home, "graphs"));
  return { home, remove: () => rm(home, { recursive: true, force: true }) };
}

export interface RunningGateway {
  readonly url: string;
  readonly process: ChildProcess;
  /** What it has said so far, on standard error. */
  said(): string;
  /** Ends it as `kill -9` would. */
  kill(): Promise<void>;
  /** Ends it as Ctrl-C would; resolves with the exit code. */
  stop(): Promise<number | null>;
}

const READY_WITHIN_MS = 240_000;

/** Starts `concord serve` on a free port and waits until it can answer. @param settings more of its environment */
export async function startGateway(
  home: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<RunningGateway> {
  const child = spawn(process.execPath, [CONCORD, "serve", "--port", "0"], {
    env: { ...process.env, CONCORD_HOME: home, HOST: "127.0.0.1", NO_COLOR: "1", ...settings },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (told += text));
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return exited;
  };
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const url = /listens on (http:\S+)/.exec(told)?.[1];
    if (url !== undefined && (await isReady(url))) {
      return {
        url,
        process: child,
        said: () => told,
        kill: async () => void (await end("SIGKILL")),
        stop: () => end("SIGINT"),
      };
    }
    if (child.exitCode !== null || Date.now() > deadline) {
      await end("SIGKILL");
      throw new Error(`concord serve did not become ready; it said:\n${told}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
}

async function isReady(url: string): Promise<boolean> {
  return fetch(`${url}/readyz`).then(
    (response) => response.ok,
    () => false,
  );
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one `concord` command to its end. */
export async function runConcord(home: string, args: readonly string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [CONCORD, ...args], {
    env: { ...process.env, CONCORD_HOME: home, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  return { code, stdout, stderr };
}

import { fileURLToPath } from "node:url";
import { whileRunning, type Child, type Children } from "./children.ts";

/** A TypeScript module that runs as a process of its own and answers requests. */
export interface Script {
  readonly child: Child;
  /** @throws Error with the other side's message, or when the process has ended */
  ask<Result>(kind: string, argument?: unknown): Promise<Result>;
}

export interface ScriptOptions {
  readonly name: string;
  /** Calls `answerRequests`. */
  readonly module: URL;
  readonly env?: NodeJS.ProcessEnv;
  /** What the process is started with, such as `taskset -c 0,1`. */
  readonly prefix?: readonly string[];
  /** For node itself. */
  readonly nodeArgs?: readonly string[];
  readonly signal: AbortSignal;
}

interface Request {
  readonly id: number;
  readonly kind: string;
  readonly argument: unknown;
}

type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

const TSX = import.meta.resolve("tsx/esm");

export function startScript(children: Children, options: ScriptOptions): Script {
  const { name, module, env = {}, prefix = [], nodeArgs = [], signal } = options;
  const [command = "", ...args] = [
    ...prefix,
    process.execPath,
    ...nodeArgs,
    "--import",
    TSX,
    fileURLToPath(module),
  ];
  const child = children.start(name, command, args, {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...process.env, ...env },
  });
  let nextId = 0;
  return {
    child,
    async ask<Result>(kind: string, argument: unknown = null): Promise<Result> {
      const id = nextId++;
      const answered = new Promise<Result>((resolve, reject) => {
        const listen = (answer: Answer): void => {
          if (answer.id !== id) return;
          child.process.off("message", listen);
          if ("error" in answer) reject(new Error(`${name}: ${answer.error}`));
          else resolve(answer.result as Result);
        };
        child.process.on("message", listen);
      });
      child.process.send({ id, kind, argument } satisfies Request);
      return whileRunning(child, answered, signal);
    },
  };
}

/** The other side: answers what `Script.ask` asks, one request at a time, until the parent goes away. */
export function answerRequests(
  handlers: Readonly<Record<string, (argument: never) => Promise<unknown>>>,
  close: () => Promise<void> = async () => {},
): void {
  let last = Promise.resolve();
  const answer = async ({ id, kind, argument }: Request): Promise<void> => {
    try {
      const handler = handlers[kind];
      if (handler === undefined) throw new Error(`asked for ${kind}, which it does not know`);
      process.send?.({ id, result: await handler(argument as never) } satisfies Answer);
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) } satisfies Answer);
    }
  };
  process.on("message", (request: Request) => {
    last = last.then(() => answer(request));
  });
  const leave = (): void => {
    void close().finally(() => process.exit(0));
  };
  process.once("disconnect", leave);
  process.once("SIGTERM", leave);
  // Ctrl-C goes to the whole group; the parent decides.
  process.on("SIGINT", () => {});
}

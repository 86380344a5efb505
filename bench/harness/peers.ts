import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../../adapters/node/exists.ts";
import type { BenchContext } from "./suite.ts";

type InstallContext = Pick<BenchContext, "cache" | "children" | "progress" | "signal">;

/** What is installed together, once, in a folder of the cache; a folder under its final name is complete. */
interface Installation {
  /** Says versions, so that other versions are another folder. */
  readonly name: string;
  install(folder: string): Promise<void>;
}

/**
 * npm packages in a folder of their own: too large and too many for the product's own tree.
 * @param packages `name@version`
 * @returns the folder that has `node_modules`
 */
export function npmPeer(context: InstallContext, packages: readonly string[]): Promise<string> {
  const [first = ""] = packages;
  return installOnce(context, {
    name: first.replaceAll(/[^\w.@-]/g, "-"),
    async install(folder) {
      await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
      // Scripts are not run: what a peer needs comes prebuilt. Its builds for other machines and for GPUs are left out.
      const flags = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
      const npm = process.platform === "win32" ? "npm.cmd" : "npm";
      await runTool(context, npm, ["install", ...flags, ...packages], folder);
    },
  });
}

/** A Python package in a virtual environment. @returns the folder of its programs */
export async function pythonPeer(context: InstallContext, requirement: string): Promise<string> {
  const programs = process.platform === "win32" ? "Scripts" : "bin";
  const folder = await installOnce(context, {
    name: requirement.replaceAll(/[^\w.@-]/g, "-"),
    async install(target) {
      await runTool(
        context,
        process.platform === "win32" ? "python" : "python3",
        ["-m", "venv", "."],
        target,
      );
      const python = join(target, programs, "python");
      await runTool(context, python, ["-m", "pip", "install", "--quiet", requirement], target);
    },
  });
  return join(folder, programs);
}

async function installOnce(context: InstallContext, { name, install }: Installation): Promise<string> {
  const folder = join(context.cache, name);
  const complete = join(folder, ".complete");
  if (await exists(complete)) return folder;
  // In its final place from the start: a virtual environment cannot be moved.
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  context.progress.note(`installing ${name} for comparison, once, in ${folder}`);
  await install(folder);
  await writeFile(`${complete}.new`, "");
  await rename(`${complete}.new`, complete);
  return folder;
}

async function runTool(
  { children, signal }: InstallContext,
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<void> {
  signal.throwIfAborted();
  const child = children.start(command, command, args, { cwd });
  const stop = (): void => void child.end();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const code = await child.exited;
    signal.throwIfAborted();
    if (code !== 0) {
      throw new Error(
        `${[command, ...args].join(" ")} failed (${code ?? "not found"}); run again with --no-peers to measure without peers. It said:\n${child.said()}`,
      );
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

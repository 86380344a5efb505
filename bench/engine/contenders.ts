import { mkdir, symlink } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { findModel } from "../../adapters/node/models/manifest.ts";
import { weightPath } from "../../adapters/node/models/verify.ts";
import { MEMBER_IDS } from "../../adapters/node/open-members.ts";
import { concordPaths } from "../../adapters/node/paths.ts";
import { npmPeer } from "../harness/peers.ts";
import { startScript, type Script } from "../harness/script.ts";
import type { BenchContext } from "../harness/suite.ts";

export const LLAMA_VERSION = "3.22.1";
/** Raise it whenever plain-graph.ts writes other graphs. */
const PLAIN_VERSION = 1;
/** For all: each contender has so many cores. */
export const THREADS = 2;

export const OURS = "concord, both members fused";
const [ANCHOR, FOLLOWER] = MEMBER_IDS;
export const LLAMA_ANCHOR = `llama.cpp, ${ANCHOR}`;
export const LLAMA_FOLLOWER = `llama.cpp, ${FOLLOWER}`;
const ONNX_ANCHOR = `onnxruntime, ${ANCHOR}`;
const ONNX_FOLLOWER = `onnxruntime, ${FOLLOWER}`;

/** One who wants both members' answers in a usual runner has them one after the other: [the two, their name together]. */
export const IN_TURN: readonly (readonly [readonly [string, string], string])[] = [
  [[LLAMA_ANCHOR, LLAMA_FOLLOWER], "llama.cpp, one after the other"],
  [[ONNX_ANCHOR, ONNX_FOLLOWER], "onnxruntime, one after the other"],
];

/** A generator that a process of its own can be started with. */
export interface EngineContender {
  readonly name: string;
  start(): Script;
}

/** Ours first; the peers are installed where they are not yet. */
export async function engineContenders(context: BenchContext): Promise<EngineContender[]> {
  const home = await createHome(context.scratch);
  const contender = (name: string, module: string, env: NodeJS.ProcessEnv): EngineContender => ({
    name,
    start: () =>
      startScript(context.children, {
        name,
        module: new URL(module, import.meta.url),
        env,
        prefix: twoCores(),
        signal: context.signal,
      }),
  });
  const ours = contender(OURS, "./concord.ts", { CONCORD_HOME: home });
  if (!context.peers) return [ours];
  const folder = await npmPeer(context, [`node-llama-cpp@${LLAMA_VERSION}`, ...llamaBuild()]);
  const llama = (name: string, id: string): EngineContender =>
    contender(name, "./llama.ts", {
      CONCORD_BENCH_LLAMA: folder,
      CONCORD_BENCH_WEIGHTS: weightsOf(id),
      CONCORD_BENCH_THREADS: String(THREADS),
    });
  const onnx = (name: string, id: string): EngineContender =>
    contender(name, "./onnx.ts", {
      CONCORD_BENCH_GRAPHS: join(context.cache, `plain-${id}-v${PLAIN_VERSION}`),
      CONCORD_BENCH_WEIGHTS: weightsOf(id),
      CONCORD_BENCH_THREADS: String(THREADS),
    });
  return [
    ours,
    llama(LLAMA_ANCHOR, ANCHOR),
    llama(LLAMA_FOLLOWER, FOLLOWER),
    onnx(ONNX_ANCHOR, ANCHOR),
    onnx(ONNX_FOLLOWER, FOLLOWER),
  ];
}

export const anchorWeights = (): string => weightsOf(ANCHOR);

function weightsOf(id: string): string {
  const manifest = findModel(id);
  const [file] = manifest.files;
  if (file === undefined) throw new Error(`${id}: the manifest names no weight file`);
  return weightPath(concordPaths().models, manifest, file);
}

/** A home whose log is the run's own; models and graphs are those that are there. */
async function createHome(scratch: string): Promise<string> {
  const { models, graphs } = concordPaths();
  const home = join(scratch, "home");
  await mkdir(home, { recursive: true });
  await mkdir(graphs, { recursive: true });
  await symlink(models, join(home, "models"), "junction");
  await symlink(graphs, join(home, "graphs"), "junction");
  return home;
}

/** With more cores a process is held to two, where the system can do that. */
function twoCores(): readonly string[] {
  return availableParallelism() > THREADS && process.platform === "linux" ? ["taskset", "-c", "0,1"] : [];
}

/** Whether each contender has `THREADS` cores. */
export const sameCores = (): boolean => availableParallelism() === THREADS || twoCores().length > 0;

/** The prebuilt library for this machine's processor; those for GPUs stay away. */
function llamaBuild(): string[] {
  const builds: Readonly<Record<string, string>> = {
    "linux-x64": "linux-x64",
    "linux-arm64": "linux-arm64",
    "darwin-arm64": "mac-arm64-metal",
    "darwin-x64": "mac-x64",
    "win32-x64": "win-x64",
    "win32-arm64": "win-arm64",
  };
  const build = builds[`${process.platform}-${process.arch}`];
  return build === undefined ? [] : [`@node-llama-cpp/${build}@${LLAMA_VERSION}`];
}

import { writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { whileRunning, type Child } from "../harness/children.ts";
import { npmPeer, pythonPeer } from "../harness/peers.ts";
import { startScript, type Script } from "../harness/script.ts";
import type { BenchContext } from "../harness/suite.ts";
import type { Target } from "./generator.ts";

export const PORTKEY_VERSION = "1.15.2";
export const LITELLM_VERSION = "1.108.7";

export const OURS = "concord";
export const OURS_UNLOGGED = "concord, not logged";
export const PORTKEY = "Portkey";
export const LITELLM = "LiteLLM";
/** The instant upstream itself: what the rig costs without a gateway. */
export const DIRECT = "no gateway";

/** Something that answers chat completions. */
export interface GatewayContender {
  readonly name: string;
  readonly target: Target;
  readonly pid: number;
  /** Rejects when its process ends by itself. */
  readonly child: Child;
}

const READY_WITHIN_MS = 120_000;

const question = (model: string): string =>
  JSON.stringify({
    model,
    temperature: 0,
    max_tokens: 16,
    messages: [{ role: "user", content: "What is the capital of France?" }],
  });

function targetAt(url: string, model: string, headers: Readonly<Record<string, string>> = {}): Target {
  return {
    origin: url,
    path: "/v1/chat/completions",
    headers: { "content-type": "application/json", authorization: "Bearer none", ...headers },
    body: question(model),
  };
}

/** The product's gateway in front of an engine that answers at once. */
export async function startOurs(
  { children, scratch, signal }: BenchContext,
  logged: boolean,
): Promise<GatewayContender> {
  const name = logged ? OURS : OURS_UNLOGGED;
  const script = startScript(children, {
    name,
    module: new URL("./instant-gateway.ts", import.meta.url),
    env: logged ? { CONCORD_BENCH_LOG: join(scratch, "agreement.sqlite") } : {},
    nodeArgs: profileArgs(name),
    signal,
  });
  return contenderOf(name, script, "concord");
}

/** `CONCORD_BENCH_PROFILE=FOLDER` writes CPU profiles of our gateway there; the largest is the main thread's. */
function profileArgs(name: string): string[] {
  const folder = process.env["CONCORD_BENCH_PROFILE"];
  return folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${join(folder, name)}`];
}

export async function startDirect({ children, signal }: BenchContext): Promise<GatewayContender> {
  const module = new URL("./instant-upstream.ts", import.meta.url);
  return contenderOf(DIRECT, startScript(children, { name: DIRECT, module, signal }), "instant");
}

async function contenderOf(name: string, script: Script, model: string): Promise<GatewayContender> {
  const url = await script.ask<string>("url");
  return { name, target: targetAt(url, model), pid: script.child.pid, child: script.child };
}

/** Portkey's gateway as its users start it, without its console. @param upstream the instant upstream */
export async function startPortkey(context: BenchContext, upstream: string): Promise<GatewayContender> {
  const folder = await npmPeer(context, [`@portkey-ai/gateway@${PORTKEY_VERSION}`]);
  const port = await freePort();
  const entry = join(folder, "node_modules/@portkey-ai/gateway/build/start-server.js");
  const loopback = new URL("./loopback.js", import.meta.url).href;
  const child = context.children.start(
    PORTKEY,
    process.execPath,
    ["--import", loopback, entry, "--headless", `--port=${port}`],
    { env: { ...process.env, NODE_ENV: "production" } },
  );
  const target = targetAt(`http://127.0.0.1:${port}`, "instant", {
    "x-portkey-provider": "openai",
    "x-portkey-custom-host": `${upstream}/v1`,
  });
  return untilReady(context, { name: PORTKEY, target, pid: child.pid, child });
}

/** LiteLLM's proxy with one worker, as many as the others have. @param upstream the instant upstream */
export async function startLitellm(context: BenchContext, upstream: string): Promise<GatewayContender> {
  const programs = await pythonPeer(context, `litellm[proxy]==${LITELLM_VERSION}`);
  const port = await freePort();
  const config = join(context.scratch, "litellm.json");
  const model = {
    model_name: "instant",
    litellm_params: { model: "openai/instant", api_base: `${upstream}/v1`, api_key: "none" },
  };
  // YAML takes JSON.
  await writeFile(config, JSON.stringify({ model_list: [model] }));
  const args = ["--config", config, "--host", "127.0.0.1", "--port", String(port), "--num_workers", "1"];
  const child = context.children.start(
    LITELLM,
    join(programs, "litellm"),
    [...args, "--telemetry", "False"],
    {
      env: {
        ...process.env,
        LITELLM_LOCAL_MODEL_COST_MAP: "True",
        LITELLM_LOG: "ERROR",
        LITELLM_MODE: "PRODUCTION",
        // Without keys, as all others here: it listens to this machine alone.
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: "true",
      },
    },
  );
  const target = targetAt(`http://127.0.0.1:${port}`, "instant");
  return untilReady(context, { name: LITELLM, target, pid: child.pid, child });
}

/** A port that nobody has now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Asks until it is answered. @throws Error with what the process said when it is not */
async function untilReady({ signal }: BenchContext, contender: GatewayContender): Promise<GatewayContender> {
  const { name, target, child } = contender;
  const deadline = performance.now() + READY_WITHIN_MS;
  let reason = "nothing listens";
  while (performance.now() < deadline) {
    const answered = await whileRunning(child, answers(target), signal);
    if (answered === null) return contender;
    reason = answered;
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
  }
  throw new Error(
    `${name} was not ready within ${READY_WITHIN_MS / 1000} s (${reason}); it said:\n${child.said()}`,
  );
}

/** Null, or why not. */
async function answers({ origin, path, headers, body }: Target): Promise<string | null> {
  try {
    const response = await fetch(`${origin}${path}`, { method: "POST", headers, body });
    const text = await response.text();
    return response.ok ? null : `status ${response.status}: ${text.slice(0, 300)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

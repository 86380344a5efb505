import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { concordPaths } from "../../adapters/node/paths.ts";
import { readSpace } from "../../adapters/node/space-file.ts";
import { keepAlive } from "../../adapters/sqlite/keep-alive.ts";
import { createHome, startGateway } from "./running-gateway.ts";

const TSX = import.meta.resolve("tsx");
const CONCORD = fileURLToPath(new URL("../../adapters/node/concord.js", import.meta.url));
const WRITER = fileURLToPath(new URL("./write-spaces.ts", import.meta.url));

let home: Awaited<ReturnType<typeof createHome>>;

beforeEach(async () => {
  home = await createHome();
});

afterEach(() => home.remove());

function sentence(i: number): string {
  return `Document ${i} says that ${i} and ${i + 1} make ${2 * i + 1}.`;
}

const idSchema = z.object({ concord: z.object({ request_id: z.string() }) });

describe("kill -9", () => {
  it("with 8 answers in flight: every finished one has its rows, and the next start works", async () => {
    const gateway = await startGateway(home.home);
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
    const finished: string[] = [];
    const enough = new EventEmitter();
    const answers = Array.from({ length: 8 }, async (_, i) => {
      const stream = await client.completions.create({
        model: "concord",
        prompt: `Chapter ${i}. It was`,
        max_tokens: i < 3 ? 4 + i : 400,
        logit_bias: { "0": -100, "2": -100 },
        stream: true,
      });
      for await (const chunk of stream) {
        const end = idSchema.safeParse(chunk);
        if (end.success) finished.push(end.data.concord.request_id);
        if (finished.length === 3) enough.emit("reached");
      }
    });
    const reached = once(enough, "reached");
    const settled = Promise.allSettled(answers);
    await reached;
    await gateway.kill();
    const failed = (await settled).filter((result) => result.status === "rejected");
    expect(finished).toHaveLength(3);
    expect(failed).toHaveLength(5);

    const { database: path } = concordPaths({ CONCORD_HOME: home.home });
    const database = keepAlive(new Database(path, { readonly: true }));
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    const members = database.prepare(
      "select count(*) as members from request_members m join requests r on r.id = m.request where r.request_id = ?",
    );
    expect(finished.map((id) => members.get(id))).toEqual(finished.map(() => ({ members: 2 })));
    database.close();

    const again = await startGateway(home.home);
    const reply = await fetch(`${again.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "concord", prompt: "Still", max_tokens: 2 }),
    });
    expect(reply.status).toBe(200);
    expect(await again.stop()).toBe(0);
  });

  it("during a fit: no map is left that could be loaded", async () => {
    const corpus = join(home.home, "corpus.txt");
    await writeFile(corpus, Array.from({ length: 30 }, (_, i) => sentence(i)).join("\n\n"));
    const child = spawn(process.execPath, [CONCORD, "fit", corpus], {
      env: { ...process.env, CONCORD_HOME: home.home },
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("reading decoder rows")) child.kill("SIGKILL");
    });
    const [, signal] = await once(child, "exit");
    expect(signal).toBe("SIGKILL");
    expect(await readdir(home.home)).not.toContain("maps");
  });

  it("while maps are written over and over: the one under the name is whole", async () => {
    const path = join(home.home, "space.safetensors");
    for (let round = 0; round < 6; round++) {
      const child = spawn(process.execPath, ["--import", TSX, WRITER, path], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exited = once(child, "exit");
      await once(child.stdout, "data");
      await new Promise((resolve) => {
        setTimeout(resolve, 5 + 13 * round);
      });
      child.kill("SIGKILL");
      await exited;
      const { space } = await readSpace(path);
      const values = new Set(space.members[0]?.projection);
      expect(values.size, "one writing's numbers and no other's").toBe(1);
    }
  });
});

import { once } from "node:events";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import Database from "better-sqlite3";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { SHIPPED_SPACE } from "../../adapters/node/open-ensemble.ts";
import { readSpace, writeSpace } from "../../adapters/node/space-file.ts";
import { writeWatch } from "../../adapters/node/watch-file.ts";
import { parseCorpus } from "../../src/ensemble/corpus.ts";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/live-signals.json" with { type: "json" };
import { createHome, startGateway, type RunningGateway } from "./running-gateway.ts";

const KEY = Buffer.alloc(32, 7);
const DIVERGENCE = 0;
/** ‖noise‖ / ‖P‖ on Gemma's projection. */
const NOISE = 0.7;

interface Post {
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

let home: Awaited<ReturnType<typeof createHome>>;
let gateway: RunningGateway;
let client: OpenAI;
let receiver: Server;
const posts: Post[] = [];

/** A gateway that has learned what answers were like, and finds another map after a restart. */
beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    posts.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
    response.writeHead(204).end();
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  vi.stubEnv("CONCORD_WEBHOOK_URL", `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`);
  vi.stubEnv("CONCORD_WEBHOOK_SECRET", `whsec_${KEY.toString("base64")}`);

  home = await createHome();
  const { space, record } = await readSpace(SHIPPED_SPACE);
  const random = createRandom(1);
  const members = space.members.map((member, m) => {
    if (m === 0) return member;
    const { projection } = member;
    const size = Math.sqrt(projection.reduce((sum, x) => sum + x * x, 0) / projection.length);
    return { ...member, projection: projection.map((x) => x + NOISE * size * random.normal()) };
  });
  await writeSpace(join(home.home, "maps", "space.safetensors"), { ...space, members }, record);
  const reference = golden.normal.flatMap((row) => row[DIVERGENCE] ?? []);
  const drift = { js_divergence: { phase: "watching" as const, reference, recent: [] } };
  await writeWatch(join(home.home, "watch.json"), [], { drift, scales: null });
  gateway = await startGateway(home.home);
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  receiver.closeAllConnections();
  receiver.close();
  vi.unstubAllEnvs();
  await home?.remove();
});

describe("a map with noise of 0.7 of its size", () => {
  it("is flagged within 200 real answers: by a signed webhook, in the metrics and in the log", async () => {
    const name = "encyclopaedia.jsonl";
    const text = await readFile(new URL(`../../data/corpus/${name}`, import.meta.url), "utf8");
    const prompts = parseCorpus({ name, text }).flatMap(({ passages: [first] }) =>
      first?.kind === "text" ? [first.text.slice(0, 120)] : [],
    );
    let answers = 0;
    for (; answers < 200 && posts.length === 0; answers++) {
      await client.completions.create({
        model: "concord",
        prompt: prompts[answers] ?? "",
        max_tokens: 8,
        temperature: 0,
      });
    }
    const [post] = posts;
    if (post === undefined) throw new Error(`no alert came in ${answers} answers`);
    const { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signature } = post.headers;
    const signed = createHmac("sha256", KEY).update(`${String(id)}.${String(seconds)}.${post.body}`);
    expect(signature).toBe(`v1,${signed.digest("base64")}`);
    const { data } = JSON.parse(post.body) as { data: { value: number; reference: number } };
    expect(data).toMatchObject({ signal: "js_divergence", member: null, direction: "up" });
    expect(data.value).toBeGreaterThan(1.5 * data.reference);

    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(metrics).toContain('concord_signal_raised{concord_signal="js_divergence"} 1');
    const database = new Database(join(home.home, "agreement.sqlite"), { readonly: true });
    const rows = database.prepare("select signal, direction, value from alerts").all();
    database.close();
    expect(rows).toEqual([{ signal: "js_divergence", direction: "up", value: data.value }]);
  });
});

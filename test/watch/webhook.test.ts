import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Alert } from "../../src/ports/observations.ts";
import { createWebhook, webhookKey, type Webhook, type WebhookOptions } from "../../src/watch/webhook.ts";
import golden from "../golden/webhook.json" with { type: "json" };
import { createManualTimers, turn, type ManualTimers } from "../manual-timers.ts";

const alert: Alert = {
  at: golden.seconds * 1000,
  signal: "weight_share",
  member: "größer – 🙂",
  direction: "down",
  value: 0.25,
  reference: 0.5,
  falseAlarmRate: 0.001,
};

interface Received {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

const servers: Server[] = [];
const webhooks: Webhook[] = [];
afterEach(async () => {
  for (const webhook of webhooks.splice(0)) await webhook.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
});

/** Listens on this machine and keeps what it is sent. */
async function listen(answer: RequestListener): Promise<{ url: URL; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    received.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
    answer(request, response);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`), received };
}

interface Posting {
  readonly webhook: Webhook;
  readonly timers: ManualTimers;
  readonly lost: { readonly alert: Alert; readonly reason: string }[];
  /** Resolves when so many attempts are over, and what follows the last of them has begun. */
  attempts(count: number): Promise<void>;
}

function posting(options: Pick<WebhookOptions, "url"> & Partial<WebhookOptions>): Posting {
  const timers = createManualTimers(golden.seconds * 1000);
  const lost: Posting["lost"] = [];
  let ids = 0;
  let over = 0;
  const webhook = createWebhook({
    key: null,
    timers,
    random: () => 0.5,
    fetch: (...request) =>
      fetch(...request).finally(() => {
        over++;
      }),
    newId: () => `alert-${++ids}`,
    onLost: (given, reason) => lost.push({ alert: given, reason }),
    ...options,
  });
  webhooks.push(webhook);
  const attempts = async (count: number): Promise<void> => {
    await until(() => over >= count);
    await turn();
  };
  return { webhook, timers, lost, attempts };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not come about within 5 s");
    await turn();
  }
}

/** Lets the pause after each attempt pass, up to the last one. */
async function passPauses({ timers, attempts }: Posting): Promise<void> {
  for (let attempt = 1; attempt <= 6; attempt++) {
    await attempts(attempt);
    expect(timers.waiting).toBe(attempt < 6 ? 1 : 0);
    timers.advance(300_000);
  }
}

describe("a webhook", () => {
  test("is posted to with the headers and the signature of Standard Webhooks", async () => {
    const { url, received } = await listen((_, response) => response.writeHead(204).end());
    const { webhook, lost } = posting({ url, key: await webhookKey(golden.secret) });
    webhook.send(alert);
    await until(() => received.length === 1);
    expect(received[0]?.body).toBe(golden.body);
    expect(received[0]?.headers).toMatchObject({
      "content-type": "application/json",
      "webhook-id": golden.id,
      "webhook-timestamp": String(golden.seconds),
      "webhook-signature": golden.signature,
    });
    expect(lost).toEqual([]);
  });

  test("without a secret is not signed", async () => {
    const { url, received } = await listen((_, response) => response.writeHead(200).end("ok"));
    posting({ url }).webhook.send(alert);
    await until(() => received.length === 1);
    expect(received[0]?.headers["webhook-signature"]).toBeUndefined();
  });

  test("that answers 500 is tried again with growing pauses, under the same id, in order", async () => {
    let failures = 2;
    const { url, received } = await listen((_, response) =>
      response.writeHead(failures-- > 0 ? 500 : 200).end(),
    );
    const { webhook, timers, lost, attempts } = posting({ url });
    webhook.send(alert);
    webhook.send({ ...alert, signal: "confidence" });
    await attempts(1);
    timers.advance(999);
    await turn();
    expect(received).toHaveLength(1);
    timers.advance(1);
    await attempts(2);
    timers.advance(4000);
    await attempts(4);
    expect(received.map(({ headers }) => headers["webhook-id"])).toEqual([
      "alert-1",
      "alert-1",
      "alert-1",
      "alert-2",
    ]);
    expect(Number(received[2]?.headers["webhook-timestamp"])).toBe(golden.seconds + 5);
    expect(lost).toEqual([]);
  });

  test("that is dead is given up after six attempts", async () => {
    const { url } = await listen(() => {});
    const [server] = servers.splice(0);
    server?.close();
    const dead = posting({ url });
    dead.webhook.send(alert);
    await passPauses(dead);
    expect(dead.lost[0]?.reason).toContain("it cannot be reached: connect ECONNREFUSED");
  });

  test("that is silent is given up at each attempt after the time-out", async () => {
    const { url, received } = await listen(() => {});
    const { webhook, timers, lost, attempts } = posting({ url });
    webhook.send(alert);
    for (let attempt = 1; attempt <= 6; attempt++) {
      await until(() => received.length === attempt);
      timers.advance(5000);
      await attempts(attempt);
      timers.advance(300_000);
    }
    expect(lost[0]?.reason).toBe("it did not answer within 5000 ms");
  });

  test("that sends endless words is delivered to, and they are not read", async () => {
    let sent = 0;
    const { url } = await listen((_, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
        response.once("drain", more);
      };
      more();
    });
    const ended = new Promise((resolve) => {
      servers[0]?.on("request", (_, response) => response.on("close", resolve));
    });
    const { webhook, lost } = posting({ url });
    webhook.send(alert);
    await ended;
    expect(sent).toBeLessThan(16 * 2 ** 20);
    expect(lost).toEqual([]);
  });

  test("is not left for where it redirects to", async () => {
    const other = await listen((_, response) => response.end());
    const { url } = await listen((_, response) =>
      response.writeHead(307, { location: other.url.href }).end(),
    );
    const redirected = posting({ url });
    redirected.webhook.send(alert);
    await passPauses(redirected);
    expect(redirected.lost[0]?.reason).toBe("it answered with 307");
    expect(other.received).toEqual([]);
  });

  test("has a hundred alerts waiting at most: then the oldest is given up", async () => {
    const { url } = await listen(() => {});
    const { webhook, lost } = posting({ url });
    for (let value = 0; value < 103; value++) webhook.send({ ...alert, value });
    expect(lost.map((one) => one.alert.value)).toEqual([1, 2, 3]);
    expect(lost[0]?.reason).toBe("100 others are not delivered yet");
  });

  test("closed in the middle of an attempt or a pause gives up at once what is not delivered", async () => {
    const { url, received } = await listen(() => {});
    const attempting = posting({ url });
    attempting.webhook.send(alert);
    await until(() => received.length === 1);
    await attempting.webhook.close();
    expect(attempting.lost).toEqual([{ alert, reason: "the gateway is stopping" }]);

    const failing = await listen((_, response) => response.writeHead(503).end());
    const pausing = posting({ url: failing.url });
    pausing.webhook.send(alert);
    pausing.webhook.send(alert);
    await pausing.attempts(1);
    await pausing.webhook.close();
    pausing.webhook.send(alert);
    expect(pausing.lost.map(({ reason }) => reason)).toEqual(Array(3).fill("the gateway is stopping"));
    expect(pausing.timers.waiting).toBe(0);
  });
});

test.each([
  "",
  "whsec_",
  "whsec_c2hvcnQ=",
  "not base64 at all, nor long enough!",
  `whsec_${"A".repeat(200)}`,
])("the secret %j is refused, with a way to make one", async (secret) => {
  await expect(webhookKey(secret)).rejects.toThrow("openssl rand -base64 32");
});

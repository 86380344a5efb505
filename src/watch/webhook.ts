import { decodeBase64, encodeBase64 } from "hono/utils/encode";
import type { Timers } from "../ports/clock.ts";
import type { Alert } from "../ports/observations.ts";

export interface WebhookOptions {
  /** Nothing is sent to anywhere else: redirections are not followed. */
  readonly url: URL;
  /** See `webhookKey`; null: nothing is signed. */
  readonly key: CryptoKey | null;
  readonly timers: Timers;
  /** In [0, 1): spreads repetitions. */
  readonly random: () => number;
  readonly fetch: typeof fetch;
  readonly newId: () => string;
  /** How long an answer to one attempt may take. Default 5 s. */
  readonly timeoutMs?: number | undefined;
  /** Told of each alert that was given up, and why. */
  readonly onLost: (alert: Alert, reason: string) => void;
}

export interface Webhook {
  /** Never waits and never throws. */
  send(alert: Alert): void;
  /** Breaks off, and gives up what is not delivered. */
  close(): Promise<void>;
}

interface Delivery {
  readonly id: string;
  readonly alert: Alert;
}

const TIMEOUT_MS = 5000;
/** Alerts that are not delivered yet; of more, the oldest that is not on its way is given up. */
const MOST_WAITING = 100;
/** Before each further attempt: five minutes and a half together. */
const PAUSES_MS = [1000, 4000, 16_000, 64_000, 256_000];

/**
 * Posts alerts as JSON to one URL, one after another: `{"type": "concord.alert", "timestamp": …, "data": {…}}` with the headers
 * of Standard Webhooks, `webhook-id` (the same at each attempt), `webhook-timestamp` and, with a key, `webhook-signature`:
 * `v1,` and the base64 of HMAC-SHA256(id.timestamp.body). An answer of 200 to 299 is a delivery, and its body is not read.
 * Anything else, and silence, is tried again after 1, 4, 16, 64 and 256 s, each ± 20 %.
 */
export function createWebhook(options: WebhookOptions): Webhook {
  const { timers, random, newId, onLost } = options;
  const closing = new AbortController();
  const waiting: Delivery[] = [];
  let working: Promise<void> | null = null;

  async function work(): Promise<void> {
    for (let delivery = waiting[0]; delivery !== undefined; delivery = waiting[0]) {
      const reason = await deliver(delivery);
      if (closing.signal.aborted) return;
      waiting.shift();
      if (reason !== null) onLost(delivery.alert, reason);
    }
    working = null;
  }

  /** Why it is given up; null when it was delivered. */
  async function deliver(delivery: Delivery): Promise<string | null> {
    let reason = await attempt(options, delivery, closing.signal);
    for (const pauseMs of PAUSES_MS) {
      if (reason === null || closing.signal.aborted) break;
      await pause(timers, pauseMs * (0.8 + 0.4 * random()), closing.signal);
      if (closing.signal.aborted) break;
      reason = await attempt(options, delivery, closing.signal);
    }
    return reason;
  }

  return {
    send(alert) {
      if (closing.signal.aborted) return onLost(alert, STOPPING);
      if (waiting.length === MOST_WAITING) {
        const [oldest] = waiting.splice(1, 1);
        if (oldest) onLost(oldest.alert, `${MOST_WAITING} others are not delivered yet`);
      }
      waiting.push({ id: newId(), alert });
      working ??= work();
    },
    async close() {
      closing.abort();
      await working;
      for (const { alert } of waiting.splice(0)) onLost(alert, STOPPING);
    },
  };
}

const STOPPING = "the gateway is stopping";

/** Why it failed; null when it did not. */
async function attempt(
  { url, key, timers, timeoutMs = TIMEOUT_MS, fetch }: WebhookOptions,
  { id, alert }: Delivery,
  closing: AbortSignal,
): Promise<string | null> {
  const body = bodyOf(alert);
  const timestamp = String(Math.floor(timers.now() / 1000));
  const silent = new AbortController();
  const callOff = timers.after(timeoutMs, () => silent.abort());
  try {
    const signature = key && (await sign(key, `${id}.${timestamp}.${body}`));
    const response = await fetch(url, {
      method: "POST",
      redirect: "manual",
      signal: AbortSignal.any([silent.signal, closing]),
      headers: {
        "content-type": "application/json",
        "user-agent": "concord",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        ...(signature !== null && { "webhook-signature": signature }),
      },
      body,
    });
    // Nobody waits for what it says, however much that is.
    response.body?.cancel().catch(() => {});
    return response.ok ? null : `it answered with ${response.status}`;
  } catch (error) {
    if (silent.signal.aborted) return `it did not answer within ${timeoutMs} ms`;
    return `it cannot be reached: ${reasonOf(error)}`;
  } finally {
    callOff();
  }
}

function bodyOf({ at, signal, member, direction, value, reference, falseAlarmRate }: Alert): string {
  return JSON.stringify({
    type: "concord.alert",
    timestamp: new Date(at).toISOString(),
    data: { signal, member, direction, value, reference, false_alarm_rate: falseAlarmRate },
  });
}

/** `fetch` says only that it failed, and its cause says why. */
function reasonOf(error: unknown): string {
  const told = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return told instanceof Error ? told.message || told.name : String(told);
}

/** Of a header `webhook-signature`. */
async function sign(key: CryptoKey, content: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content));
  return `v1,${encodeBase64(signature)}`;
}

/**
 * A secret as Standard Webhooks write it: `whsec_` and the base64 of 24 to 64 bytes.
 * @throws RangeError on anything else
 */
export async function webhookKey(secret: string): Promise<CryptoKey> {
  const bytes = fromBase64(secret.replace(/^whsec_/, ""));
  if (bytes === null || bytes.length < 24 || bytes.length > 64) {
    throw new RangeError(
      "webhook secret: expected whsec_ and the base64 of 24 to 64 bytes; `openssl rand -base64 32` makes one",
    );
  }
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return decodeBase64(text);
  } catch {
    return null;
  }
}

function pause(timers: Timers, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const callOff = timers.after(delayMs, () => {
      signal.removeEventListener("abort", end);
      resolve();
    });
    const end = (): void => {
      callOff();
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
  });
}

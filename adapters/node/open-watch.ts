import { randomUUID } from "node:crypto";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import type { ObservationWriter } from "../../src/ports/observations.ts";
import type { Telemetry } from "../../src/ports/telemetry.ts";
import { createWatch, type Watch, type WatchState } from "../../src/watch/watch.ts";
import { createWebhook, webhookKey, type Webhook } from "../../src/watch/webhook.ts";
import { concordPaths } from "./paths.ts";
import { systemTimers } from "./supervision.ts";
import { readWatch, writeWatch } from "./watch-file.ts";

/** What may be configured of how answers are watched. */
export interface WatchChoices {
  /** While nothing changes, an alert comes no more often than once in so many answers. */
  readonly falseAlarmEvery: number;
  /** Answers that are taken as the time when all was well. */
  readonly referenceLength: number;
  /** Of so many answers one is read again to compare the members' layers; 0: none is. */
  readonly similarityEvery: number;
  /** Where alerts are posted; absent: nowhere. */
  readonly webhookUrl?: URL | undefined;
  /** What they are signed with; absent: they are not. */
  readonly webhookSecret?: string | undefined;
}

export interface WatchRequest extends WatchChoices {
  readonly members: readonly LanguageModel[];
  readonly writer: ObservationWriter;
  readonly telemetry: Telemetry;
  /** Closed with the watch; null for none. */
  readonly webhook: Webhook | null;
  readonly warn: Warn;
}

/** Told what went wrong, in a line for whoever runs the gateway. */
type Warn = (line: string) => void;

/** Watches answers on this machine, going on from what was learned before. What cannot be read of that is learned anew. */
export async function openWatch(request: WatchRequest): Promise<Watch> {
  const { members, webhook, warn } = request;
  const infos = members.map(({ info }) => info);
  const { watch: path } = concordPaths();
  let state: WatchState | null = null;
  try {
    state = await readWatch(path, infos);
  } catch (error) {
    warn(`signals are learned anew: ${messageOf(error)}`);
  }
  const watch = createWatch({
    ...request,
    timers: systemTimers,
    random: Math.random,
    state,
    save: (learned) => writeWatch(path, infos, learned),
    onFailure: (error) => warn(`signals could not be watched: ${messageOf(error)}`),
  });
  return {
    ...watch,
    close: async () => {
      await watch.close();
      await webhook?.close();
    },
  };
}

/** Where alerts are posted, if anywhere. @throws RangeError for a secret that is none */
export async function openWebhook(
  { webhookUrl, webhookSecret }: WatchChoices,
  warn: Warn,
): Promise<Webhook | null> {
  if (webhookUrl === undefined) return null;
  return createWebhook({
    url: webhookUrl,
    key: webhookSecret === undefined ? null : await webhookKey(webhookSecret),
    timers: systemTimers,
    random: Math.random,
    fetch,
    newId: () => `alert-${randomUUID()}`,
    onLost: ({ signal }, reason) => warn(`an alert on ${signal} did not reach the webhook: ${reason}`),
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { randomUUID } from "node:crypto";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import type { Alert, ObservationWriter } from "../../src/ports/observations.ts";
import type { SettledSignal } from "../../src/watch/drift.ts";
import type { Signal } from "../../src/watch/signals.ts";
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
  /** A line for whoever runs the gateway. */
  readonly say: (line: string) => void;
  readonly onAlert?: ((alert: Alert) => void) | undefined;
}

/**
 * Watches answers on this machine, going on from what was learned before. What cannot be read of that is learned anew.
 * @throws RangeError for a secret that is none
 */
export async function openWatch(request: WatchRequest): Promise<Watch> {
  const { members, say } = request;
  const infos = members.map(({ info }) => info);
  const { watch: path } = concordPaths();
  const webhook = await openWebhook(request);
  let state: WatchState | null = null;
  try {
    state = await readWatch(path, infos);
  } catch (error) {
    say(`signals are learned anew: ${messageOf(error)}`);
  }
  const watch = createWatch({
    ...request,
    timers: systemTimers,
    random: Math.random,
    state,
    save: (learned) => writeWatch(path, infos, learned),
    onAlert: (alert) => {
      say(alertLine(alert));
      request.onAlert?.(alert);
      webhook?.send(alert);
    },
    onSettled: (signal) => say(settledLine(signal)),
    onFailure: (error) => say(`watching signals: ${messageOf(error)}`),
  });
  return {
    ...watch,
    close: async () => {
      await watch.close();
      await webhook?.close();
    },
  };
}

async function openWebhook({ webhookUrl, webhookSecret, say }: WatchRequest): Promise<Webhook | null> {
  if (webhookUrl === undefined) return null;
  return createWebhook({
    url: webhookUrl,
    key: webhookSecret === undefined ? null : await webhookKey(webhookSecret),
    timers: systemTimers,
    random: Math.random,
    fetch,
    newId: () => `alert-${randomUUID()}`,
    onLost: (alert, reason) => say(`the alert on ${alert.signal} did not reach the webhook: ${reason}`),
  });
}

function alertLine({ signal, member, direction, value, reference, falseAlarmRate }: Alert): string {
  const every = Math.round(1 / falseAlarmRate).toLocaleString("en");
  return (
    `drift: ${nameOf(signal, member)} went ${direction}, to ${value.toPrecision(3)} from ${reference.toPrecision(3)} ` +
    `(set to at most one false alarm in ${every} answers)`
  );
}

const settledAs: Record<SettledSignal["kind"], string> = {
  learned: "has its reference now",
  returned: "is back where it was",
  relearned: "has stayed where it went, which is its reference now",
};

function settledLine({ name, member, kind }: Signal & Pick<SettledSignal, "kind">): string {
  return `${nameOf(name, member)} ${settledAs[kind]}`;
}

const nameOf = (signal: string, member: string | null): string =>
  member === null ? signal : `${signal} of ${member}`;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

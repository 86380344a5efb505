import type { Passage } from "../ensemble/corpus.ts";
import { ENSEMBLE_ID } from "../ensemble/engine.ts";
import type { Timers } from "../ports/clock.ts";
import type { AnswerEvent, Engine, Question } from "../ports/engine.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { JudgedConfidence, ObservationWriter } from "../ports/observations.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { createDrift, type DriftState } from "./drift.ts";
import { createLiveSimilarity, type LayerScales } from "./live-similarity.ts";
import { createQuietTime } from "./quiet-time.ts";
import { answerSignals, judgementSignals, signalsOf, type SignalValue } from "./signals.ts";
import type { Webhook } from "./webhook.ts";

export interface WatchOptions {
  /** Of the ensemble, the anchor first. */
  readonly members: readonly LanguageModel[];
  readonly writer: ObservationWriter;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** While nothing changes, an alert comes no more often than once in so many answers. */
  readonly falseAlarmEvery: number;
  /** Answers that are taken as the time when all was well. */
  readonly referenceLength: number;
  /** Of so many answers one is read again to compare the members' layers; 0: none is. */
  readonly similarityEvery: number;
  /** What an earlier one learned; null for nothing. */
  readonly state: WatchState | null;
  /** Keeps what was learned: now and then, and at the end. */
  readonly save: (state: WatchState) => Promise<void>;
  readonly telemetry: Pick<Telemetry, "alertRaised" | "signalSettled">;
  /** Alerts go there too; null for nowhere. */
  readonly webhook: Pick<Webhook, "send"> | null;
  /** Told what went wrong while watching. No answer is worse for it. */
  readonly onFailure: (error: unknown) => void;
}

/** What a watch has to know after a restart to go on. It tells nothing of texts. */
export interface WatchState {
  readonly drift: DriftState;
  /** Null while they are not learned. */
  readonly scales: LayerScales | null;
}

export interface Watch {
  /** The same engine, of which every answer is observed when it is out. */
  watched(engine: Engine): Engine;
  /** Work that somebody waits for and that asks the members, besides answers: nothing is read again meanwhile. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** A confidence, and whether its answer was right. */
  judged(judgement: JudgedConfidence): void;
  close(): Promise<void>;
}

/** Changes of P(x > r) from ½ below this are the traffic's own ups and downs. */
const TOLERANCE = 0.05;
/** Nobody must have waited for so long before a text is read again. */
const QUIET_MS = 2000;
const SAVE_EVERY_MS = 60_000;
/** Of 32 texts and more, two a batch on average. */
const PLACES = { perText: 8, batch: 64, batches: 4 };
const WINDOW_MS = 3_600_000;

/** Watches answers for signals that move (`createDrift`) and compares the members on live traffic (`createLiveSimilarity`). */
export function createWatch(options: WatchOptions): Watch {
  const { members, writer, timers, random, similarityEvery, telemetry, webhook, onFailure } = options;
  const drift = createDrift({
    signals: signalsOf(members.map(({ info }) => info.id)),
    falseAlarmEvery: options.falseAlarmEvery,
    referenceLength: options.referenceLength,
    tolerance: TOLERANCE,
    state: options.state?.drift,
  });
  let scales = options.state?.scales ?? null;
  const quiet = createQuietTime(timers, QUIET_MS);
  const similarity =
    similarityEvery === 0 || members.length < 2
      ? null
      : createLiveSimilarity({
          members,
          quiet,
          timers,
          random,
          every: similarityEvery,
          places: PLACES,
          windowMs: WINDOW_MS,
          scales,
          onBatch: (value) => observe([{ name: "layer_similarity", member: null, value }]),
          onWindow: (similarities) => void writer.appendSimilarities(similarities).catch(onFailure),
          onScales: (learned) => {
            scales = learned;
            changed();
          },
          onFailure,
        });

  let callOffSaving: (() => void) | null = null;
  let saving = Promise.resolve();
  function changed(): void {
    callOffSaving ??= timers.after(SAVE_EVERY_MS, save);
  }
  function save(): void {
    callOffSaving?.();
    callOffSaving = null;
    saving = saving.then(() => options.save({ drift: drift.state, scales })).catch(onFailure);
  }

  function observe(values: readonly SignalValue[]): void {
    if (values.length === 0) return;
    const { alerts, settled, learned } = drift.observe(values, timers.now());
    for (const alert of alerts) {
      writer.appendAlert(alert).catch(onFailure);
      telemetry.alertRaised(alert);
      webhook?.send(alert);
    }
    for (const signal of settled) telemetry.signalSettled(signal);
    if (alerts.length > 0 || settled.length > 0) save();
    else if (learned) changed();
  }

  function note(question: Question, { report, confidence }: AnswerEnd, text: string): void {
    // Whatever is wrong with watching, the answer is out and right.
    try {
      if (report.answeredBy === ENSEMBLE_ID) observe(answerSignals(report, confidence));
      const passage = similarity && passageOf(question, text);
      if (passage) similarity.offer(passage);
    } catch (error) {
      onFailure(error);
    }
  }

  return {
    watched: (engine) => ({
      models: () => engine.models(),
      async *answer(question) {
        const over = quiet.begin();
        let text = "";
        let end: AnswerEnd | null = null;
        try {
          for await (const event of engine.answer(question)) {
            if (event.type === "delta") text += event.text;
            if (event.type === "end") end = event;
            yield event;
          }
        } finally {
          over();
          if (end) note(question, end, text);
        }
      },
    }),
    async during(work) {
      const over = quiet.begin();
      try {
        return await work();
      } finally {
        over();
      }
    },
    judged: (judgement) => observe(judgementSignals(judgement)),
    async close() {
      await similarity?.close();
      save();
      await saving;
    },
  };
}

type AnswerEnd = Extract<AnswerEvent, { type: "end" }>;

/** What every member can read; null for token ids, which are one member's, and where nothing is shared. */
function passageOf({ prompt }: Question, text: string): Passage | null {
  if (prompt.kind === "tokens") return null;
  if (prompt.kind === "text") return { kind: "text", text: prompt.text + text };
  const answer = (prompt.answer ?? "") + text;
  return answer === "" ? null : { kind: "chat", messages: prompt.messages, answer };
}

import type { Database } from "better-sqlite3";
import { readSketch, sketchBytes } from "../../src/stats/quantile-sketch.ts";
import { addAnswer, addSums, noAnswers, type Counted, type Sums } from "./counted.ts";
import type { MemberSums } from "./schema.ts";

/** A minute, an hour, a day, milliseconds. Each is a whole number of those before it. */
export const ROLLUP_WIDTHS_MS = [60_000, 3_600_000, 86_400_000] as const;

/** Who was asked and answered, in which experiment: what the rollups tell apart. */
export interface RollupGroup {
  readonly model: string;
  readonly answeredBy: string;
  readonly degraded: boolean;
  readonly experiment: string | null;
  readonly arm: string | null;
}

export interface RollupRow {
  readonly start: number;
  readonly degraded: number;
  readonly answers: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly latency: Uint8Array;
  readonly first_token: Uint8Array;
  readonly divergence_answers: number;
  readonly divergence_sum: number;
  readonly top1_answers: number;
  readonly top1_sum: number;
  readonly distance_answers: number;
  readonly distance_sum: number;
  readonly confidence_answers: number;
  readonly confidence_sum: number;
  readonly members: string;
}

/** What `sumsOf` reads. */
export const ROLLUP_COLUMNS =
  "start, degraded, answers, prompt_tokens, completion_tokens, latency, first_token, divergence_answers, divergence_sum, top1_answers, top1_sum, distance_answers, distance_sum, confidence_answers, confidence_sum, members";

/** Answers counted by bucket and group before they are written together. */
export interface RollupBatch {
  add(createdAt: number, group: RollupGroup, answer: Counted): void;
  /** Adds what was counted to the database's rows, within the caller's transaction, and begins anew. */
  write(database: Database): void;
}

export function createRollupBatch(): RollupBatch {
  // By the narrowest bucket alone until they are written: its sums are a part of those of the wider ones.
  const narrowest = new Map<string, CountedBucket>();
  return {
    add(createdAt, group, answer) {
      addAnswer(bucketIn(narrowest, ROLLUP_WIDTHS_MS[0], createdAt, group).sums, answer);
    },
    write(database) {
      const buckets = new Map<string, CountedBucket>();
      for (const { start, group, sums } of narrowest.values()) {
        for (const width of ROLLUP_WIDTHS_MS) addSums(bucketIn(buckets, width, start, group).sums, sums);
      }
      narrowest.clear();
      for (const { key, sums } of buckets.values()) {
        const stored = database.prepare<unknown[], RollupRow>(selectRow).get(...key);
        if (stored !== undefined) addSums(sums, sumsOf(stored));
        database.prepare(replaceRow).run(...key, ...valuesOf(sums));
      }
    },
  };
}

interface CountedBucket {
  readonly start: number;
  readonly group: RollupGroup;
  /** Of its row in the table. */
  readonly key: readonly (number | string)[];
  readonly sums: Sums;
}

/** The bucket of `width` that `at` is in, which is made where there is none. */
function bucketIn(
  buckets: Map<string, CountedBucket>,
  width: number,
  at: number,
  group: RollupGroup,
): CountedBucket {
  const { model, answeredBy, degraded, experiment, arm } = group;
  const start = Math.floor(at / width) * width;
  const key = [width, start, model, answeredBy, Number(degraded), experiment ?? "", arm ?? ""];
  const name = JSON.stringify(key);
  const bucket = buckets.get(name) ?? { start, group, key, sums: noAnswers() };
  buckets.set(name, bucket);
  return bucket;
}

export function sumsOf(row: RollupRow): Sums {
  return {
    answers: row.answers,
    degraded: row.degraded === 1 ? row.answers : 0,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    latency: readSketch(row.latency),
    firstToken: readSketch(row.first_token),
    divergence: [row.divergence_answers, row.divergence_sum],
    top1: [row.top1_answers, row.top1_sum],
    distance: [row.distance_answers, row.distance_sum],
    confidence: [row.confidence_answers, row.confidence_sum],
    members: new Map(Object.entries(JSON.parse(row.members) as Record<string, MemberSums>)),
  };
}

const selectRow = `select ${ROLLUP_COLUMNS} from rollups
  where width_ms = ? and start = ? and model = ? and answered_by = ? and degraded = ? and experiment = ? and arm = ?`;

const replaceRow = `insert or replace into rollups (width_ms, start, model, answered_by, degraded, experiment, arm, answers,
  prompt_tokens, completion_tokens, latency, first_token, divergence_answers, divergence_sum, top1_answers, top1_sum,
  distance_answers, distance_sum, confidence_answers, confidence_sum, members)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

/** In the order of `replaceRow`, after the key. */
function valuesOf(sums: Sums): unknown[] {
  return [
    sums.answers,
    sums.promptTokens,
    sums.completionTokens,
    sketchBytes(sums.latency),
    sketchBytes(sums.firstToken),
    ...sums.divergence,
    ...sums.top1,
    ...sums.distance,
    ...sums.confidence,
    JSON.stringify(Object.fromEntries(sums.members)),
  ];
}

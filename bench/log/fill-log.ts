import type { Database } from "better-sqlite3";
import type { Counted } from "../../adapters/sqlite/counted.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { createRollupBatch } from "../../adapters/sqlite/rollups.ts";
import type { MemberSums } from "../../adapters/sqlite/schema.ts";
import { createRandom } from "../../src/linalg/random.ts";

export interface FillOptions {
  readonly answers: number;
  readonly seed: number;
  /** When the newest answer was made, milliseconds since the Unix epoch. */
  readonly end: number;
  /** From the oldest answer to the newest, milliseconds. */
  readonly spanMs: number;
  /** Told how many there are, now and then. */
  readonly onProgress?: ((answers: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const members = ["smollm2-135m-instruct", "gemma-3-270m"] as const;
const inOneTransaction = 20_000;

/**
 * Fills the empty log at `path` with made-up answers: of the ensemble and of single members, with a rhythm of days, a few
 * losses, confidences and an experiment. Row by row with all indexes, as the log writes them, so that pages are as full as
 * they come to be; but many in a transaction, and the disk is waited for once.
 * @throws RangeError when the log has answers
 */
export function fillLog(path: string, options: FillOptions): void {
  const { answers, onProgress, signal } = options;
  const database = openDatabase(path);
  try {
    if (database.prepare("select 1 from requests").get() !== undefined) {
      throw new RangeError(`fill: expected an empty log, got one with answers: ${path}`);
    }
    database.pragma("synchronous = off");
    database.pragma("cache_size = -2097152");
    const insert = createInserter(database, options);
    for (let first = 0; first < answers; first += inOneTransaction) {
      signal?.throwIfAborted();
      const last = Math.min(answers, first + inOneTransaction);
      database.transaction(() => {
        for (let index = first; index < last; index++) insert.answer(index);
        insert.rollups();
      })();
      onProgress?.(last);
    }
    database.pragma("wal_checkpoint(truncate)");
  } finally {
    database.close();
  }
}

function createInserter(database: Database, { answers, seed, end, spanMs }: FillOptions) {
  const random = createRandom(seed).next;
  const noise = Uint8Array.from({ length: 1 << 16 }, () => Math.floor(256 * random()));
  const request = database.prepare(
    `insert into requests (id, request_id, created_at, endpoint, model, answered_by, not_fused, prompt_tokens,
      completion_tokens, finish_reason, latency_ms, first_token_ms, js_divergence, positions, top1_agreement,
      state_distance, bits_per_byte, entropy, confidence, confidence_kind, degraded, experiment, arm)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const member = database.prepare(
    `insert into request_members (request, position, member, weight, bits_per_byte, top1_agreement, entropy, latency_ms,
      lost_position, lost_reason) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const trace = database.prepare("insert into request_traces (request, numbers) values (?, ?)");
  const rollups = createRollupBatch();

  return {
    answer(index: number): void {
      const id = index + 1;
      const day = 2 * Math.PI * ((spanMs * index) / answers / 86_400_000);
      // More by day than by night, and never backwards: the slope stays positive.
      const createdAt = Math.floor(
        end - spanMs + (spanMs * index) / answers + 0.6 * (86_400_000 / (2 * Math.PI)) * Math.sin(day),
      );
      const asked = random();
      const model = asked < 0.8 ? "concord" : asked < 0.9 ? members[0] : members[1];
      const routed = model === "concord" && random() < 0.1;
      const answeredBy = routed ? members[1] : model;
      const fused = answeredBy === "concord";
      const completionTokens = 1 + Math.floor(90 * random() ** 2);
      const promptTokens = 5 + Math.floor(400 * random() ** 3);
      const firstTokenMs = 20 + promptTokens * (0.5 + random());
      const latencyMs = firstTokenMs + completionTokens * (8 + 10 * random());
      const degraded = fused && random() < 0.003;
      const jsDivergence = fused ? 0.65 * random() * random() : null;
      const top1Agreement = fused ? 1 - 0.8 * random() * random() : null;
      const stateDistance = fused ? 0.2 + 0.5 * random() : null;
      const confidence = random() < 0.15 ? 0.3 + 0.7 * random() : null;
      const experiment = model === "concord" && random() < 0.1 ? "fit" : null;
      const arm = experiment && (random() < 0.5 ? "new" : "old");
      const chat = random() < 0.7;
      request.run(
        id,
        `${chat ? "chatcmpl" : "cmpl"}-${uuid(random)}`,
        createdAt,
        chat ? "chat.completions" : "completions",
        model,
        answeredBy,
        routed ? "the anchor needs 1.62 times the tokens" : null,
        promptTokens,
        completionTokens,
        random() < 0.7 ? "stop" : "length",
        latencyMs,
        firstTokenMs,
        jsDivergence,
        fused ? completionTokens : 0,
        top1Agreement,
        stateDistance,
        1.5 * random(),
        3 * random(),
        confidence,
        confidence === null ? null : "short_answer",
        Number(degraded),
        experiment,
        arm,
      );
      const present = fused ? members : [answeredBy];
      const sums: (readonly [string, MemberSums])[] = [];
      present.forEach((name, position) => {
        const weight = fused ? 0.3 + 0.4 * random() : 1;
        const lost = degraded && position === 1;
        sums.push([name, [1, weight, 0, Number(lost)]]);
        member.run(
          id,
          position,
          name,
          weight,
          1.5 * random(),
          random(),
          3 * random(),
          latencyMs * random(),
          lost ? 3 : null,
          lost ? "it ended with code 1" : null,
        );
      });
      const at = Math.floor(random() * (noise.length - 90 * 4 - 4));
      trace.run(id, noise.subarray(at, at + completionTokens * (2 + present.length)));
      const counted: Counted = {
        promptTokens,
        completionTokens,
        latencyMs,
        firstTokenMs,
        jsDivergence,
        top1Agreement,
        stateDistance,
        confidence,
        degraded,
        members: sums,
      };
      rollups.add(createdAt, { model, answeredBy, degraded, experiment, arm }, counted);
    },
    rollups: () => rollups.write(database),
  };
}

function uuid(random: () => number): string {
  const part = () =>
    Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, "0");
  const [a, b, c, d] = [part(), part(), part(), part()];
  return `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`;
}

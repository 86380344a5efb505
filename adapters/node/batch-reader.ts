import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import { hasWindows, type ModelShape } from "../../src/weights/model-shape.ts";
import { createKvCache, tokenBytes } from "./kv-cache.ts";
import { nativeTensor, type NativeSession, type NativeTensor } from "./native-session.ts";
import { BLOCK_TOKENS, createPrefixStore } from "./prefix-store.ts";
import type { AppendRequest, AppendResult } from "./worker-messages.ts";

/*
 * Continuous batching. Of the sequences that wait, those with few tokens left are read together, a token in each run of the
 * graph, so that its weights are read once for all; of a longer piece, one chunk is read, and then it is the others' turn.
 * Who comes joins at the next run, and who goes leaves at once. Beginnings that were read before are not read again: their
 * keys and values are copied, unless their states are asked for.
 */

/** A piece of a sequence to read. */
export interface ReadJob {
  readonly request: AppendRequest;
  finish(result: AppendResult): void;
  fail(error: unknown): void;
}

export interface BatchReader {
  add(job: ReadJob): void;
  /** Frees a sequence's slot; what it still waits for is never read. */
  forget(sequence: number): void;
  /** Whether anything waits. */
  readonly waiting: boolean;
  /** How long the next run had better wait for sequences that were read together with those that wait, milliseconds. */
  readonly pauseMs: number;
  /** One run of the graph. Call it only when something waits. */
  step(): void;
  release(): void;
}

/** A piece with so few tokens left goes along with the others, a token a run: one of these reads the weights for all. */
const FEW_TOKENS = 4;
/** Tokens of a longer piece that are read in one run: many where nobody waits, few where others write. */
const CHUNK_TOKENS = { alone: 256, amongOthers: 24 } as const;
/** Sequences that were written to so lately are still being written, milliseconds. */
const LATELY_MS = 250;
/** A run waits so many times as long as the last one took for those that it read: what they do meanwhile takes about as long. */
const PATIENCE = 2;
/** A window begins at a multiple of so many tokens, so that a view of the cache serves as many steps. */
const WINDOW_STEP = 64;
/** Slots of sequences that do not wait are read along rather than reading the weights once more. */
const SLOTS_BETWEEN = 2;

interface Open {
  readonly slot: number;
  /** Tokens that the slot holds for sure. */
  readonly tokens: number[];
  /** When it last had few tokens to read. */
  writtenAt: number;
}

interface Waiting {
  readonly job: ReadJob;
  readonly open: Open;
  /** Tokens of the piece that have been read, and how many of these before. */
  done: number;
  readonly reused: number;
  readonly hidden: Float32Array<ArrayBuffer>;
  readonly taps: readonly Float32Array<ArrayBuffer>[];
}

/** What one run reads: `count` slots from `first` on, `tokens` of each; those that do not wait are read for nothing. */
interface Run {
  readonly first: number;
  readonly count: number;
  readonly tokens: number;
  readonly members: readonly Waiting[];
}

/** @param prefixBytes for keys and values of what was read before; 0: none are kept */
export function createBatchReader(session: NativeSession, shape: ModelShape, prefixBytes = 0): BatchReader {
  const { attends } = session;
  const cache = createKvCache(shape, attends);
  const prefixes = createPrefixStore(BLOCK_TOKENS * tokenBytes(shape, attends), prefixBytes);
  const sequences = new Map<number, Open>();
  /** By slot. */
  const lengths: number[] = [];
  let waiting: Waiting[] = [];
  let chunkIsNext = false;
  const windows = !attends && hasWindows(shape);
  /** The last run's sequences that are still open, and when it ended and how long it took, milliseconds. */
  let company = { of: new Set<Open>(), endedAt: 0, tookMs: 0 };

  function open(sequence: number): Open {
    const known = sequences.get(sequence);
    if (known !== undefined) return known;
    const taken = new Set([...sequences.values()].map(({ slot }) => slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    const opened: Open = { slot, tokens: [], writtenAt: -Infinity };
    sequences.set(sequence, opened);
    lengths[slot] = 0;
    return opened;
  }

  /** The slot holds these tokens from `start` on, and nothing after them. */
  function hold({ slot, tokens }: Open, start: number, more: Iterable<number>): void {
    tokens.length = start;
    for (const token of more) tokens.push(token);
    lengths[slot] = tokens.length;
  }

  /** Copies what was read before of the piece, as far as nobody asks for its states. @returns how many tokens that is */
  function reuse(opened: Open, { start, tokens, rows }: AppendRequest): number {
    if (start % BLOCK_TOKENS !== 0) return 0;
    const unasked = tokens.subarray(0, tokens.length - rows);
    const found = prefixes.match([...opened.tokens.slice(0, start), ...unasked]);
    const end = found.length * BLOCK_TOKENS;
    if (end <= start) return 0;
    cache.reserve(opened.slot + 1, lengths);
    for (let block = start / BLOCK_TOKENS; block < found.length; block++) {
      cache.copyIn(opened.slot, block * BLOCK_TOKENS, found[block]!);
    }
    hold(opened, start, unasked.subarray(0, end - start));
    return end - start;
  }

  function keepPrefix({ slot, tokens }: Open): void {
    prefixes.keep(tokens, (block) => cache.copyOut(slot, block * BLOCK_TOKENS, BLOCK_TOKENS));
  }

  const isShort = ({ job, done }: Waiting): boolean => job.request.tokens.length - done <= FEW_TOKENS;

  /** Short pieces and chunks of long ones in turn. */
  function choose(): Run[] {
    const short = waiting.filter(isShort);
    const long = waiting.find((piece) => !isShort(piece));
    const now = performance.now();
    for (const { open: written } of short) written.writtenAt = now;
    if (long !== undefined && (short.length === 0 || chunkIsNext)) {
      chunkIsNext = false;
      const others = [...sequences.values()].some(
        (other) => other !== long.open && now - other.writtenAt < LATELY_MS,
      );
      const left = long.job.request.tokens.length - long.done;
      const tokens = Math.min(left, others ? CHUNK_TOKENS.amongOthers : CHUNK_TOKENS.alone);
      return [{ first: long.open.slot, count: 1, tokens, members: [long] }];
    }
    chunkIsNext = true;
    return neighbours(short);
  }

  function neighbours(short: readonly Waiting[]): Run[] {
    const sorted = short.toSorted((a, b) => a.open.slot - b.open.slot);
    const groups: Waiting[][] = [];
    for (const piece of sorted) {
      const last = groups.at(-1);
      const end = last?.at(-1)?.open.slot ?? -Infinity;
      if (last !== undefined && piece.open.slot - end <= SLOTS_BETWEEN + 1) last.push(piece);
      else groups.push([piece]);
    }
    return groups.map((members) => {
      const first = members[0]!.open.slot;
      return { first, count: members.at(-1)!.open.slot - first + 1, tokens: 1, members };
    });
  }

  function read({ first, count, tokens, members }: Run): void {
    const ids = new BigInt64Array(new ArrayBuffer(8 * count * tokens));
    const last = new Int32Array(new ArrayBuffer(4 * count));
    // A slot that is read for nothing writes beyond what it holds.
    for (let i = 0; i < count; i++) last[i] = lengths[first + i] ?? 0;
    for (const {
      job,
      open: { slot },
      done,
    } of members) {
      const { request } = job;
      for (let t = 0; t < tokens; t++) ids[(slot - first) * tokens + t] = BigInt(request.tokens[done + t]!);
      last[slot - first] = request.start + done + tokens - 1;
    }
    cache.reserve(first + count, lengths);
    const ports = statesOf(members, tokens);
    const inputs = new Map<string, NativeTensor>([
      [GRAPH_PORTS.tokens, nativeTensor(ids, [count, tokens])],
      [GRAPH_PORTS.lastIndex, nativeTensor(last, [count])],
    ]);
    if (!attends) inputs.set(GRAPH_PORTS.total, nativeTensor(held([Math.max(...last) + 1]), []));
    const windowStart = windows ? startOfWindows(members) : 0;
    if (windows) for (const input of windowInputs(last, windowStart, tokens)) inputs.set(...input);
    const outputs = new Map<string, NativeTensor>(
      ports.map((port) => {
        const size = count * tokens * shape.width;
        const values = new Float32Array(new ArrayBuffer(4 * size));
        return [port, nativeTensor(values, [count, tokens, shape.width])];
      }),
    );
    const { past, present } = cache.views(first, count, windowStart);
    try {
      session.run(new Map([...inputs, ...past]), new Map([...outputs, ...present]));
      for (const piece of members) keep(piece, piece.open.slot - first, tokens, outputs);
    } finally {
      for (const tensor of [...inputs.values(), ...outputs.values()]) tensor.release();
    }
  }

  /** Where the earliest window of their next tokens begins, or up to WINDOW_STEP before. */
  function startOfWindows(members: readonly Waiting[]): number {
    const earliest = Math.min(...members.map(({ job, done }) => job.request.start + done));
    const start = Math.max(0, earliest + 1 - (shape.window ?? 0));
    return start - (start % WINDOW_STEP);
  }

  /** Lengths and positions where windows begin at `windowStart`; a slot that is read for nothing may end before. */
  function windowInputs(last: Int32Array, windowStart: number, tokens: number): [string, NativeTensor][] {
    const count = last.length;
    const inWindow = held(Array.from(last, (index) => Math.max(index - windowStart, tokens - 1)));
    const positions = new BigInt64Array(new ArrayBuffer(8 * count * tokens));
    for (let i = 0; i < positions.length; i++) {
      const position = last[Math.floor(i / tokens)]! - tokens + 1 + (i % tokens);
      positions[i] = BigInt(Math.min(position, shape.contextLength - 1));
    }
    return [
      [GRAPH_PORTS.windowLastIndex, nativeTensor(inWindow, [count])],
      [GRAPH_PORTS.windowTotal, nativeTensor(held([Math.max(...inWindow) + 1]), [])],
      [GRAPH_PORTS.positions, nativeTensor(positions, [count, tokens])],
    ];
  }

  /** Takes a piece's states from a run in which it was the `at`-th sequence. */
  function keep(
    { job, open: opened, done, hidden, taps }: Waiting,
    at: number,
    tokens: number,
    outputs: ReadonlyMap<string, NativeTensor>,
  ): void {
    const { request } = job;
    const { width } = shape;
    hold(opened, request.start + done, request.tokens.subarray(done, done + tokens));
    const skipped = request.tokens.length - request.rows;
    const from = Math.max(done, skipped);
    const end = done + tokens;
    if (from >= end) return;
    const copy = (port: string, target: Float32Array): void => {
      const rows = outputs.get(port)?.data as Float32Array;
      const first = (at * tokens + from - done) * width;
      target.set(rows.subarray(first, (at * tokens + tokens) * width), (from - skipped) * width);
    };
    copy(GRAPH_PORTS.hidden, hidden);
    for (const [i, layer] of request.taps.entries()) copy(GRAPH_PORTS.residual(layer), taps[i]!);
  }

  return {
    add(job) {
      const { rows, taps } = job.request;
      const empty = () => new Float32Array(new ArrayBuffer(4 * rows * shape.width));
      const opened = open(job.request.sequence);
      const reused = reuse(opened, job.request);
      const piece: Waiting = {
        job,
        open: opened,
        done: reused,
        reused,
        hidden: empty(),
        taps: taps.map(empty),
      };
      if (piece.done < job.request.tokens.length) waiting.push(piece);
      else finish(piece);
    },
    forget(sequence) {
      const opened = sequences.get(sequence);
      if (opened === undefined) return;
      keepPrefix(opened);
      sequences.delete(sequence);
      company.of.delete(opened);
      lengths[opened.slot] = 0;
      // Whoever closed it looks at no answer any more.
      for (const { job, hidden, taps } of waiting.filter((piece) => piece.open === opened)) {
        job.finish({ reused: 0, hidden, taps });
      }
      waiting = waiting.filter((piece) => piece.open !== opened);
      if (sequences.size === 0) cache.clear();
    },
    get waiting() {
      return waiting.length > 0;
    },
    get pauseMs() {
      if (!waiting.every(isShort)) return 0;
      const here = new Set(waiting.map((piece) => piece.open));
      const { of, endedAt, tookMs } = company;
      const absent = [...of].some((opened) => !here.has(opened));
      return absent ? Math.max(0, endedAt + PATIENCE * tookMs - performance.now()) : 0;
    },
    step() {
      for (const run of choose()) {
        const startedAt = performance.now();
        // Behind the others, for the next chunk.
        waiting = [...waiting.filter((piece) => !run.members.includes(piece)), ...run.members];
        try {
          read(run);
        } catch (error) {
          waiting = waiting.filter((piece) => !run.members.includes(piece));
          for (const { job } of run.members) job.fail(error);
          continue;
        }
        const endedAt = performance.now();
        company = {
          of: new Set(run.members.map((piece) => piece.open)),
          endedAt,
          tookMs: endedAt - startedAt,
        };
        for (const piece of run.members) {
          piece.done += run.tokens;
          if (piece.done < piece.job.request.tokens.length) continue;
          waiting.splice(waiting.indexOf(piece), 1);
          if (piece.job.request.tokens.length > 1) keepPrefix(piece.open);
          finish(piece);
        }
      }
    },
    release() {
      prefixes.clear();
      cache.release();
      session.release();
    },
  };
}

function finish({ job, reused, hidden, taps }: Waiting): void {
  job.finish({ reused, hidden, taps });
}

/** The states that any of them wants of these tokens; the last in any case, since a run has a result. */
function statesOf(members: readonly Waiting[], tokens: number): string[] {
  const wanting = members.filter(
    ({ job: { request }, done }) => done + tokens > request.tokens.length - request.rows,
  );
  const layers = new Set(wanting.flatMap(({ job }) => job.request.taps));
  return [GRAPH_PORTS.hidden, ...[...layers].map((layer) => GRAPH_PORTS.residual(layer))];
}

/** In a buffer of its own: short arrays may be moved. */
function held(values: readonly number[]): Int32Array<ArrayBuffer> {
  const array = new Int32Array(new ArrayBuffer(4 * values.length));
  array.set(values);
  return array;
}

import type { Span } from "../ports/span.ts";
import type { Stopwatch } from "./timing.ts";

/** What is done again for every token of an answer, and how long it took altogether. */
export interface Stage {
  readonly name: string;
  readonly watch: Stopwatch;
  /** Of a stage that one member is; its first time is the reading of the prompt. */
  readonly member?: { readonly id: string; readonly lost: string | null };
}

/**
 * Tells what was done for an answer: one span for each stage, from its first beginning to its last end, with how often and
 * how long it was busy in between. A span for each token would cost more than it says.
 */
export function tellStages(span: Span, stages: readonly Stage[]): void {
  if (!span.recording) return;
  for (const { name, watch, member } of stages) {
    const { timed, elapsedMs } = watch;
    if (timed === null) continue;
    const attributes = {
      "concord.member": member?.id,
      "concord.times": timed.count,
      "concord.busy_ms": elapsedMs,
    };
    const told = span.child(name, attributes, timed.startMs);
    if (member !== undefined) {
      told.child("read prompt", {}, timed.startMs).end(undefined, timed.firstEndMs);
    }
    told.end(member?.lost ?? undefined, timed.endMs);
  }
}

/** Does `work` as a part of `span`. */
export async function within<T>(span: Span, name: string, work: () => Promise<T>): Promise<T> {
  if (!span.recording) return work();
  const part = span.child(name);
  try {
    const result = await work();
    part.end();
    return result;
  } catch (error) {
    part.end(error);
    throw error;
  }
}

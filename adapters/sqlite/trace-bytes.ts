import type { AnswerTrace, TracePosition } from "../../src/ports/answer-trace.ts";

/*
 * One answer's numbers (t positions, m members), 2 + m bytes a position, position after position:
 *   divergence d  round(254 d / ln m), 255 where there is none
 *   log-prob l    round(255 √(−l / 32)), l cut to [−32, 0]: finest near 0, where most are
 *   weights w     m times round(255 w)
 */

const none = 255;
const lowest = 32;

export function traceBytes({ members, positions }: AnswerTrace): Uint8Array<ArrayBuffer> {
  const width = 2 + members.length;
  const bytes = new Uint8Array(width * positions.length);
  const largest = Math.log(members.length);
  positions.forEach(({ divergence, logprob, weights }, t) => {
    const at = width * t;
    bytes[at] = divergence === null ? none : level(divergence / (largest || 1), none - 1);
    bytes[at + 1] = level(Math.sqrt(Math.min(lowest, Math.max(0, -logprob)) / lowest), 255);
    members.forEach((_, m) => (bytes[at + 2 + m] = level(weights[m] ?? 0, 255)));
  });
  return bytes;
}

/** @throws RangeError when the bytes are of other members */
export function tracePositions(bytes: Uint8Array, members: number): TracePosition[] {
  const width = 2 + members;
  if (bytes.length % width !== 0) {
    throw new RangeError(
      `trace: expected ${width} bytes a position of ${members} members, got ${bytes.length}`,
    );
  }
  return Array.from({ length: bytes.length / width }, (_, t) => {
    const [divergence = none, logprob = 0, ...weights] = bytes.subarray(width * t, width * (t + 1));
    return {
      divergence: divergence === none ? null : (divergence / (none - 1)) * Math.log(members),
      logprob: -lowest * (logprob / 255) ** 2 || 0,
      weights: weights.map((weight) => weight / 255),
    };
  });
}

function level(share: number, levels: number): number {
  return Math.round(levels * Math.min(1, Math.max(0, share)));
}

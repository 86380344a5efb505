import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UNREAD, type OwnTokens } from "../../src/alignment/shared-space.ts";
import { createFollowerVoice, normaliseAnchor } from "../../src/ensemble/follower-distribution.ts";

/** Six tokens of the anchor, the last one special; the follower has three more of its own, and none for tokens 3 and 4. */
const own: OwnTokens = {
  ids: Int32Array.of(70, 71, 72),
  begins: Int32Array.of(1, 1, 4),
  firstRow: 7,
  hosts: Int32Array.of(-1, -1, -1, 1, -1, -1),
};
const SPECIAL = [5];
const speak = createFollowerVoice(own, SPECIAL);

const logit = fc.double({ min: -8, max: 8, noNaN: true });
const rows = fc.record({
  anchor: fc.array(logit, { minLength: 6, maxLength: 6 }),
  // The row between the anchor's tokens and these three is another follower's.
  follower: fc.array(logit, { minLength: 10, maxLength: 10 }),
});

/** p(a) from the definition, given that the answer goes on. */
function exactly(anchor: readonly number[], follower: readonly number[]): number[] {
  const e = follower.map(Math.exp);
  const together = [e[0], (e[1] ?? 0) + (e[7] ?? 0) + (e[8] ?? 0), e[2], 0, e[9], 0].map((x) => x ?? 0);
  const total = together.reduce((a, b) => a + b, 0);
  const share = Math.exp(anchor[1] ?? 0) / (Math.exp(anchor[1] ?? 0) + Math.exp(anchor[3] ?? 0));
  const divided = together.map((x, token) =>
    token === 1 ? x * share : token === 3 ? (together[1] ?? 0) * (1 - share) : x,
  );
  return divided.map((x) => x / total);
}

function spoken(anchor: readonly number[], follower: readonly number[]) {
  const first = Float32Array.from(anchor);
  const ends = normaliseAnchor(first, SPECIAL);
  const row = Float32Array.from(follower, (x, r) => (r === 3 || r === 4 ? UNREAD : x));
  return { first, ends, row };
}

describe("a follower's voice", () => {
  it("sums the rows that begin with a token's text, and divides what a host speaks for as the anchor does", () => {
    fc.assert(
      fc.property(rows, ({ anchor, follower }) => {
        const { first, ends, row } = spoken(anchor, follower);
        const logprobs = speak(row, first, ends, null);
        const goesOn = Math.exp(ends.ordinary);
        for (const [token, p] of exactly(anchor, follower).entries()) {
          if (token === 5) expect(logprobs[5]).toBeCloseTo(first[5] ?? NaN, 5);
          else expect(Math.exp(logprobs[token] ?? NaN) / goesOn).toBeCloseTo(p, 5);
        }
      }),
    );
  });

  it("without the anchor leaves to a host what it speaks for", () => {
    const { ends, row } = spoken([0, 0, 0, 0, 0, 0], [1, 2, 3, 0, 0, 0, 0, 1, 1, 1]);
    const logprobs = speak(row, null, ends, null);
    expect(logprobs[3]).toBeLessThan(-1000);
    expect([...logprobs].reduce((sum, l) => sum + Math.exp(l), 0)).toBeCloseTo(1, 5);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GatewayError, type GatewayErrorCode } from "../../src/ports/gateway-error.ts";
import type { HiddenStates, LanguageModel } from "../../src/ports/language-model.ts";

export interface LanguageModelContract {
  readonly open: () => Promise<LanguageModel>;
  /**
   * Least cosine between the states of the same text read in two ways. Below 1 where the arithmetic depends on how
   * many tokens are read at once.
   */
  readonly closeness: number;
}

const TEXT =
  "The lighthouse on the northern shore was built of granite in the year the harbour froze. Its keeper wrote down " +
  "every ship that passed, the colour of its sails and the weather it came from, and on quiet evenings he read the " +
  "list aloud to whoever would listen. ";

/** What every language model does. */
export function describeLanguageModel(name: string, { open, closeness }: LanguageModelContract): void {
  describe(`language model ${name}`, () => {
    let model: LanguageModel;
    beforeAll(async () => {
      model = await open();
    });
    afterAll(() => model.close());

    /** The document start and `count` - 1 tokens of the text, over and over. */
    function tokens(count: number): number[] {
      const { tokenizer } = model;
      const ids = tokenizer.encode(TEXT).ids;
      return Array.from({ length: count }, (_, i) =>
        i === 0 ? tokenizer.documentStart : (ids[(i - 1) % ids.length] ?? 0),
      );
    }

    async function readAtOnce(ids: readonly number[], rows = 1): Promise<HiddenStates> {
      const sequence = model.openSequence();
      const states = await sequence.append(ids, { rows });
      sequence.close();
      return states;
    }

    async function embeddingTap(ids: readonly number[]): Promise<Float32Array | undefined> {
      const sequence = model.openSequence();
      const { taps } = await sequence.append(ids, { taps: [0] });
      sequence.close();
      return taps.get(0);
    }

    function expectSame(actual: Float32Array, expected: Float32Array): void {
      expect(actual.length).toBe(expected.length);
      for (const [row, value] of rowCosines(actual, expected, model.info.width).entries()) {
        expect(value, `cosine of row ${row}`).toBeGreaterThanOrEqual(closeness);
      }
    }

    test("the head fits the states and the tokenizer", () => {
      expect(model.head.width).toBe(model.info.width);
      expect(model.head.vocabularySize).toBeGreaterThanOrEqual(model.tokenizer.vocabularySize);
      expect(model.info.layers).toBeGreaterThan(0);
    });

    test("states are finite and not all zero", async () => {
      const { hidden, rows } = await readAtOnce(tokens(24), 24);
      expect(rows).toBe(24);
      expect(hidden.length).toBe(24 * model.info.width);
      expect(hidden.every(Number.isFinite)).toBe(true);
      for (let row = 0; row < rows; row++) {
        const state = hidden.subarray(row * model.info.width, (row + 1) * model.info.width);
        expect(state.some((value) => value !== 0)).toBe(true);
      }
    });

    test("reading in pieces equals reading at once", async () => {
      const ids = tokens(40);
      const whole = await readAtOnce(ids, 40);
      const sequence = model.openSequence();
      const pieces: number[] = [];
      for (const [start, end] of [
        [0, 1],
        [1, 2],
        [2, 17],
        [17, 39],
        [39, 40],
      ] as const) {
        const { hidden } = await sequence.append(ids.slice(start, end), { rows: end - start });
        pieces.push(...hidden);
        expect(sequence.length).toBe(end);
      }
      sequence.close();
      expectSame(Float32Array.from(pieces), whole.hidden);
    });

    test("a sequence that forgot its tail reads on like a fresh one", async () => {
      const ids = tokens(30);
      const whole = await readAtOnce(ids, 10);
      const sequence = model.openSequence();
      await sequence.append([...ids.slice(0, 20), ...ids.slice(3, 9)]);
      sequence.truncate(20);
      expect(sequence.length).toBe(20);
      const { hidden } = await sequence.append(ids.slice(20), { rows: 10 });
      sequence.close();
      expectSame(hidden, whole.hidden);
    });

    test("a sequence that forgot everything reads on like a fresh one", async () => {
      const ids = tokens(12);
      const sequence = model.openSequence();
      await sequence.append(ids.toReversed());
      sequence.truncate(0);
      const { hidden } = await sequence.append(ids);
      sequence.close();
      expectSame(hidden, (await readAtOnce(ids)).hidden);
    });

    test("rows are counted from the last token, over a long text too", async () => {
      const ids = tokens(300);
      const all = await readAtOnce(ids, 300);
      const some = await readAtOnce(ids, 50);
      const one = await readAtOnce(ids);
      expect(some.rows).toBe(50);
      expectSame(some.hidden, all.hidden.slice(250 * model.info.width));
      expectSame(one.hidden, all.hidden.slice(299 * model.info.width));
    });

    test("no rows asked, no states given, and the tokens are read", async () => {
      const ids = tokens(9);
      const sequence = model.openSequence();
      const none = await sequence.append(ids.slice(0, 8), { rows: 0 });
      expect([none.rows, none.hidden.length, sequence.length]).toStrictEqual([0, 0, 8]);
      const { hidden } = await sequence.append(ids.slice(8));
      sequence.close();
      expectSame(hidden, (await readAtOnce(ids)).hidden);
    });

    test("only the asked taps come, one row for each state", async () => {
      const { layers, width } = model.info;
      const sequence = model.openSequence();
      const { taps } = await sequence.append(tokens(6), { rows: 4, taps: [layers, 0] });
      sequence.close();
      expect([...taps.keys()].sort((a, b) => a - b)).toStrictEqual([0, layers]);
      for (const residual of taps.values()) {
        expect(residual.length).toBe(4 * width);
        expect(residual.every(Number.isFinite)).toBe(true);
      }
    });

    test("the embedding tap depends on the token alone", async () => {
      const ids = tokens(6);
      expect(await embeddingTap(ids)).toStrictEqual(await embeddingTap(ids.slice(5)));
    });

    test("sequences read side by side do not mix", async () => {
      const first = tokens(33);
      const second = [model.tokenizer.documentStart, ...tokens(33).slice(1).toReversed()];
      const [a, b] = [model.openSequence(), model.openSequence()];
      const read = async (sequence: typeof a, ids: readonly number[]) => {
        await sequence.append(ids.slice(0, 16));
        for (const id of ids.slice(16, 32)) await sequence.append([id]);
        return (await sequence.append(ids.slice(32))).hidden;
      };
      const [hiddenA, hiddenB] = await Promise.all([read(a, first), read(b, second)]);
      a.close();
      b.close();
      expectSame(hiddenA, (await readAtOnce(first)).hidden);
      expectSame(hiddenB, (await readAtOnce(second)).hidden);
    });

    test("an append under an aborted signal is refused and changes nothing", async () => {
      const sequence = model.openSequence();
      await sequence.append(tokens(3));
      const appended = sequence.append(tokens(2), { signal: AbortSignal.abort() });
      await expectCode(appended, "cancelled");
      expect(sequence.length).toBe(3);
      sequence.close();
    });

    test("an append aborted half way leaves the sequence as it was and usable", async () => {
      const ids = tokens(20);
      const sequence = model.openSequence();
      await sequence.append(ids.slice(0, 10));
      const controller = new AbortController();
      const appended = sequence.append(tokens(400), { signal: controller.signal });
      controller.abort();
      await expectCode(appended, "cancelled");
      expect(sequence.length).toBe(10);
      const { hidden } = await sequence.append(ids.slice(10));
      sequence.close();
      expectSame(hidden, (await readAtOnce(ids)).hidden);
    });

    test("tokens beyond the context length are refused and nothing is read", async () => {
      const sequence = model.openSequence();
      await sequence.append(tokens(5));
      const appended = sequence.append(tokens(model.info.contextLength - 4));
      await expectCode(appended, "context_length_exceeded");
      expect(sequence.length).toBe(5);
      await sequence.append(tokens(1));
      expect(sequence.length).toBe(6);
      sequence.close();
    });

    test("forgetting more tokens than were read is a RangeError", async () => {
      const sequence = model.openSequence();
      await sequence.append(tokens(4));
      expect(() => sequence.truncate(5)).toThrow(RangeError);
      expect(() => sequence.truncate(-1)).toThrow(RangeError);
      expect(sequence.length).toBe(4);
      sequence.close();
    });

    test("a closed sequence refuses to read, and closing it twice is fine", async () => {
      const sequence = model.openSequence();
      await sequence.append(tokens(2));
      sequence.close();
      sequence.close();
      await expect(sequence.append(tokens(1))).rejects.toThrow(/closed/);
      expect(() => sequence.truncate(0)).toThrow(/closed/);
    });

    test("the head gives one row of finite logits for each state", async () => {
      const { hidden } = await readAtOnce(tokens(5), 3);
      const { width, vocabularySize } = model.head;
      const all = await model.head.decode(hidden);
      expect(all.length).toBe(3 * vocabularySize);
      expect(all.every(Number.isFinite)).toBe(true);
      const last = await model.head.decode(hidden.slice(2 * width));
      const [cosine = 0] = rowCosines(last, all.subarray(2 * vocabularySize), vocabularySize);
      expect(cosine).toBeGreaterThanOrEqual(closeness);
    });

    test("the head refuses states that are no whole rows and an aborted signal", async () => {
      const states = new Float32Array(model.head.width);
      await expect(model.head.decode(states.subarray(1))).rejects.toThrow(RangeError);
      await expectCode(model.head.decode(states, AbortSignal.abort()), "cancelled");
      expect((await model.head.decode(new Float32Array(0))).length).toBe(0);
    });

    test("a closed member refuses what is open and what is new as lost", async () => {
      const closing = await open();
      const sequence = closing.openSequence();
      await sequence.append(tokens(2));
      const appended = sequence.append(tokens(300));
      const refused = expectCode(appended, "members_lost");
      await closing.close();
      await refused;
      await expectCode(sequence.append(tokens(1)), "members_lost");
      expect(sequence.length).toBe(2);
      await closing.close();
    });
  });
}

async function expectCode(promise: Promise<unknown>, code: GatewayErrorCode): Promise<void> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(GatewayError);
  expect((error as GatewayError).code).toBe(code);
}

/** Cosine of each row of a with the same row of b. */
export function rowCosines(a: Float32Array, b: Float32Array, width: number): number[] {
  return Array.from({ length: a.length / width }, (_, row) => {
    let [product, normA, normB] = [0, 0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      const [x = Number.NaN, y = Number.NaN] = [a[i], b[i]];
      product += x * y;
      normA += x * x;
      normB += y * y;
    }
    return product / Math.sqrt(normA * normB);
  });
}

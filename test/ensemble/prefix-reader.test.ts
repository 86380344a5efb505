import { describe, expect, it } from "vitest";
import { createPrefixReader, prefixStates } from "../../src/ensemble/prefix-reader.ts";
import type { LanguageModel, Sequence } from "../../src/ports/language-model.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedMember } from "../scripted-member.ts";

const member = createScriptedMember({ tokenizer: createMergingTokenizer(["the", " cat", "at", " s"]) });

/** A sequence that counts the tokens it is given. */
function watched(sequence: Sequence): { sequence: Sequence; counts: number[] } {
  const counts: number[] = [];
  return {
    counts,
    sequence: {
      ...sequence,
      get length() {
        return sequence.length;
      },
      append: (tokens, options) => {
        counts.push(tokens.length);
        return sequence.append(tokens, options);
      },
    },
  };
}

async function stateOf({ tokenizer, openSequence }: LanguageModel, ids: Int32Array): Promise<Float32Array> {
  const sequence = openSequence();
  const { hidden } = await sequence.append([tokenizer.documentStart, ...ids]);
  sequence.close();
  return hidden;
}

const stateAfter = (model: LanguageModel, text: string): Promise<Float32Array> =>
  stateOf(model, model.tokenizer.encode(text).ids);

const idsOf = (text: string): Int32Array => member.tokenizer.encode(text).ids;

describe("reading one run of tokens after another", () => {
  it("gives the states of each run, and reads only what the one before did not have", async () => {
    const { sequence, counts } = watched(member.openSequence());
    const reader = createPrefixReader(member, sequence);
    const first = await reader.read(idsOf("the dog"));
    const second = await reader.read(idsOf("the dot"));
    expect(counts).toEqual([6, 1]);
    expect(second.slice(0, 5)).toEqual(first.slice(0, 5));
    expect(second.at(-1)).toEqual(await stateAfter(member, "the dot"));
    expect(await reader.read(idsOf("the"))).toEqual(first.slice(0, 2));
    expect(await reader.read(idsOf(""))).toEqual(first.slice(0, 1));
    expect(counts).toEqual([6, 1]);
  });

  it("keeps the tapped layer of the run read last", async () => {
    const reader = createPrefixReader(member, member.openSequence(), 1);
    await reader.read(idsOf("the dog sat"));
    await reader.read(idsOf("the dot"));
    const { documentStart } = member.tokenizer;
    const whole = member.openSequence();
    const fed = [documentStart, ...idsOf("the dot")];
    const { taps } = await whole.append(fed, { rows: fed.length, taps: [1] });
    const { width } = member.info;
    const expected = fed.map((_, row) => taps.get(1)?.subarray(row * width, (row + 1) * width));
    expect(reader.tapped).toEqual(expected);
    expect(createPrefixReader(member, member.openSequence()).tapped).toEqual([]);
  });

  it("goes on rightly after a reading that was cancelled", async () => {
    const reader = createPrefixReader(member, member.openSequence());
    await reader.read(idsOf("the dog"));
    const cancelled = reader.read(idsOf("the cat"), AbortSignal.abort());
    await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
    const states = await reader.read(idsOf("the dog sat"));
    expect(states).toHaveLength(idsOf("the dog sat").length + 1);
    expect(states.at(-1)).toEqual(await stateAfter(member, "the dog sat"));
  });
});

describe("states after beginnings of a text", () => {
  it("are those of each beginning in its own tokens, and none inside a character", async () => {
    const text = "the cat sät on the cats";
    const bytes = new TextEncoder().encode(text);
    const { sequence, counts } = watched(member.openSequence());
    const reader = createPrefixReader(member, sequence);
    const offsets = Array.from({ length: bytes.length + 1 }, (_, offset) => offset);
    const states = await prefixStates(reader, member.tokenizer, text, offsets);
    expect(counts[0]).toBe(idsOf(text).length + 1);
    for (const [offset, state] of states.entries()) {
      if (((bytes[offset] ?? 0) & 0xc0) === 0x80) {
        expect(state).toBeNull();
        continue;
      }
      const beginning = new TextDecoder().decode(bytes.subarray(0, offset));
      expect(state?.state, beginning).toEqual(await stateAfter(member, beginning));
      const last = member.tokenizer.bytes(idsOf(beginning).at(-1) ?? 0).length;
      expect(state?.lastBytes, beginning).toBe(beginning === "" ? 0 : last);
      const before = beginning === "" ? null : await stateOf(member, idsOf(beginning).subarray(0, -1));
      expect(state?.before, beginning).toEqual(before);
    }
  });
});

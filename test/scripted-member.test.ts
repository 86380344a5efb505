import { expect, test } from "vitest";
import { describeLanguageModel } from "./contracts/language-model.ts";
import { createByteTokenizer, createScriptedMember } from "./scripted-member.ts";

describeLanguageModel("scripted in memory", {
  open: async () => createScriptedMember(),
  closeness: 1 - 1e-12,
});

test("the byte tokenizer gives one token for each byte and for each special token, with its end", () => {
  const tokenizer = createByteTokenizer();
  const { ids, ends } = tokenizer.encode("<start>é<end>");
  expect([...ids]).toStrictEqual([256, 0xc3, 0xa9, 257]);
  expect([...ends]).toStrictEqual([7, 8, 9, 14]);
  expect(tokenizer.encode("a".repeat(300)).ends.at(-1)).toBe(300);
  expect(tokenizer.decode(ids)).toBe("<start>é<end>");
});

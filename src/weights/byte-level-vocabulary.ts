import type { Metadata } from "./metadata.ts";
import { tokenTypes, type Step, type VocabularyDefinition } from "./tokenizer-json.ts";

/** GPT-2's way to cut text into words; here `\s` is Unicode's White_Space, as the library reads it. */
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The token that parts documents in the training text, so the one before a document's first token. */
const DOCUMENT_START = "<|endoftext|>";

const encoder = new TextEncoder();

/**
 * Byte-level BPE as SmolLM2 has it: every numeral alone, then GPT-2's words, whose bytes are written as printable
 * characters. Bytes that no token holds (six control characters, lead bytes of unassigned planes and bytes that
 * UTF-8 never has) are left out before merging.
 * @throws Error on a pre-tokeniser other than `smollm`, or on a vocabulary without a document start
 */
export function defineByteLevelVocabulary(
  metadata: Metadata,
  types: readonly number[],
): VocabularyDefinition {
  const pre = metadata.string("tokenizer.ggml.pre");
  if (pre !== "smollm") {
    throw new Error(
      `tokenizer: expected tokenizer.ggml.pre smollm with a gpt2 vocabulary, got "${pre}"; ` +
        "a model with this tokenizer cannot be a member",
    );
  }
  const tokens = metadata.strings("tokenizer.ggml.tokens");
  const documentStart = tokens.indexOf(DOCUMENT_START);
  if (documentStart < 0) throw new Error(`tokenizer: expected a token ${DOCUMENT_START}, got none`);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const missing = [...byteOf].filter(([letter]) => !Object.hasOwn(vocab, letter));
  return {
    tokens,
    normalizer: null,
    pre_tokenizer: preTokenizer(missing.map(([letter]) => letter)),
    model: {
      type: "BPE",
      vocab,
      merges: metadata.strings("tokenizer.ggml.merges").map(parseMerge),
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
    },
    mergeRank: null,
    documentStart,
    bytes(token) {
      const written = tokens[token] ?? "";
      if (types[token] !== tokenTypes.normal) return encoder.encode(written);
      return Uint8Array.from(written, (letter) => byteOf.get(letter) ?? 0);
    },
    missingBytes: new Set(missing.map(([, byte]) => byte)),
  };
}

function preTokenizer(missingLetters: readonly string[]): VocabularyDefinition["pre_tokenizer"] {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const drop = {
    type: "Replace",
    pattern: { Regex: `[${missingLetters.map(escapeUnit).join("")}]` },
    content: "",
  };
  return {
    type: "Sequence",
    pretokenizers: [isolate("\\p{N}"), isolate(WORDS), bytes, ...(missingLetters.length === 0 ? [] : [drop])],
  };
}

/** A character for use in a regular expression, whatever it means there. */
function escapeUnit(letter: string): string {
  return `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A step that makes each match of the pattern a word, and each stretch between matches. */
function isolate(pattern: string): Step {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function parseMerge(merge: string): [string, string] {
  const [left, right, ...rest] = merge.split(" ");
  if (!left || !right || rest.length > 0) {
    throw new Error(`tokenizer: expected a merge to be two tokens parted by a space, got "${merge}"`);
  }
  return [left, right];
}

/** GPT-2's bytes by the characters that stand for them: printable Latin-1 for itself, the rest from U+0100 on. */
const byteOf: ReadonlyMap<string, number> = byteLetters();

function byteLetters(): Map<string, number> {
  const letters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte += 1) {
    letters.set(String.fromCharCode(isPrintable(byte) ? byte : next++), byte);
  }
  return letters;
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

import { PreTrainedTokenizer } from "@xenova/transformers";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { ChatMessage, Tokenizer } from "../../src/ports/tokenizer.ts";
import type { Metadata } from "../../src/weights/metadata.ts";
import { defineTokenizer } from "../../src/weights/tokenizer-definition.ts";
import type { MergeRank } from "../../src/weights/tokenizer-json.ts";
import { tokenEnds } from "./token-ends.ts";
import { renderTranscript, transcriptStops } from "./transcript.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The tokenizer of a weight file, run by Hugging Face's library.
 * @throws Error when the file's tokenizer is of another kind than SmolLM2's or Gemma 3's
 */
export function createTokenizer(metadata: Metadata): Tokenizer {
  const definition = defineTokenizer(metadata);
  const { vocabulary, config } = definition;
  const library = new PreTrainedTokenizer(definition.json, config);
  if (vocabulary.mergeRank) rankMerges(library, vocabulary.mergeRank);
  const vocabularySize = vocabulary.tokens.length;
  const known = new Map<number, Uint8Array>();

  function bytes(token: number): Uint8Array {
    const found = known.get(token);
    if (found) return found;
    if (vocabulary.tokens[token] === undefined) {
      throw new RangeError(`token: expected an id from 0 to ${vocabularySize - 1}, got ${token}`);
    }
    const made = vocabulary.bytes(token);
    known.set(token, made);
    return made;
  }

  return {
    vocabularySize,
    documentStart: vocabulary.documentStart,
    endTokens: definition.endTokens,
    specialTokens: definition.specialTokens,
    encode(text) {
      const source = encoder.encode(text);
      // Decoding back makes an unpaired surrogate the U+FFFD that it already is in the bytes.
      const ids = Int32Array.from(library.encode(decoder.decode(source), { add_special_tokens: false }));
      return { ids, ends: tokenEnds(source, ids, bytes, vocabulary.missingBytes) };
    },
    bytes,
    decode: (tokens) => decoder.decode(concatenate(Array.from(tokens, bytes))),
    renderChat:
      config.chat_template === undefined ? renderTranscript : (messages) => fillTemplate(library, messages),
    chatStops: config.chat_template === undefined ? transcriptStops : [],
  };
}

/** As the library's BPE has them: a token, its neighbour, and the fraction that puts the leftmost of equals first. */
interface MergeNode {
  readonly token: string;
  readonly next: { readonly token: string };
  readonly bias: number;
  score?: number;
}

interface MergeQueue {
  push(node: MergeNode): void;
}

/** Hands the library merge priorities one by one: a list of half a million pairs takes it seconds to read. */
function rankMerges(library: PreTrainedTokenizer, rank: MergeRank): void {
  const { model } = library._tokenizer;
  const ids = model.tokens_to_ids;
  if (!("add_node" in model)) throw new Error("@huggingface/tokenizers: expected BPE to have add_node");
  model.add_node = (queue: MergeQueue, node: MergeNode) => {
    const left = node.token;
    const right = node.next.token;
    const merged = ids.get(left + right);
    if (merged === undefined || !ids.has(left) || !ids.has(right)) return;
    node.score = rank(merged, left.length) + node.bias;
    queue.push(node);
  };
}

function fillTemplate(library: PreTrainedTokenizer, messages: readonly ChatMessage[]): string {
  try {
    return library.apply_chat_template([...messages], { tokenize: false, add_generation_prompt: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("invalid_request", `messages: the model's chat template refuses them: ${reason}`, {
      param: "messages",
      cause,
    });
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

import type { Grammar } from "./engine.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** One answer being held to a grammar. */
export interface GrammarGuide {
  /** Which tokens may come next: bit v mod 32 of word ⌊v / 32⌋, (⌈V / 32⌉). An end token may where the answer may end. */
  allowed(): Promise<Int32Array>;
  /** Takes the token that came. @throws Error for one that was not allowed */
  accept(token: number): Promise<void>;
  close(): void;
}

/** Turns grammars into masks over a vocabulary. */
export interface GrammarCompiler {
  /** @throws GatewayError invalid_request naming what is wrong with the grammar, unsupported for what is not enforced */
  open(grammar: Grammar, tokenizer: Tokenizer): Promise<GrammarGuide>;
}

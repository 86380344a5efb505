/** Something that reads texts and goes on with them, token by token: ours or a peer. */
export interface Generator {
  /** Room for so many streams of so many tokens each, prompt and answer; what is not yet there is made here, unmeasured. */
  openStreams(streams: number, tokens: number): Promise<Streams>;
  close(): Promise<void>;
}

export interface Streams {
  /**
   * Reads the text, then generates greedily, past any end of text, and tells each token as it comes. Resolves when told
   * to stop, or at the streams' most tokens.
   */
  generate(text: string, onToken: () => void, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

import type { TokenScore } from "../ports/engine.ts";
import { createUtf8Stream } from "./utf8-stream.ts";

export interface TextPiece {
  readonly text: string;
  readonly tokens: readonly TokenScore[];
}

/** Turns an answer's tokens into text that can be sent: whole characters, and nothing that may yet belong to a stop text. */
export interface AnswerText {
  /** Takes one token. `stopped` when a stop text is complete: the answer ends before it. */
  push(token: TokenScore): { piece: TextPiece; stopped: boolean };
  /** The rest, when the answer ends for another reason. */
  end(): TextPiece;
  /** All text released so far. */
  readonly released: string;
}

interface Held {
  readonly token: TokenScore;
  /** Length of the whole text, UTF-16 units, before and after the token's characters were complete. */
  readonly start: number;
  readonly end: number;
}

export function createAnswerText(stops: readonly string[]): AnswerText {
  const utf8 = createUtf8Stream();
  let text = "";
  let released = 0;
  let held: Held[] = [];

  /** Releases the text up to `to` and the tokens that `belongs` to it. */
  function release(to: number, belongs: (held: Held) => boolean): TextPiece {
    const piece = { text: text.slice(released, to), tokens: held.filter(belongs).map((h) => h.token) };
    held = held.filter((h) => !belongs(h));
    released = Math.max(released, to);
    return piece;
  }

  return {
    push(token) {
      const start = text.length;
      text += utf8.push(token.bytes);
      held.push({ token, start, end: text.length });
      const stop = firstStop(text, stops, released);
      if (stop !== null) {
        text = text.slice(0, stop);
        return { piece: release(stop, (h) => h.start < stop), stopped: true };
      }
      const safe = text.length - longestStopStart(text.slice(released), stops);
      // A token whose bytes complete no character yet waits for the one that does.
      const waits = utf8.incomplete;
      return {
        piece: release(safe, (h) => h.end <= safe && !(waits && h.end === text.length)),
        stopped: false,
      };
    },
    end() {
      text += utf8.flush();
      return release(text.length, () => true);
    },
    get released() {
      return text.slice(0, released);
    },
  };
}

/** Where the earliest stop text begins at or after `from`, or null. */
function firstStop(text: string, stops: readonly string[], from: number): number | null {
  const found = stops.map((stop) => text.indexOf(stop, from)).filter((at) => at >= 0);
  return found.length === 0 ? null : Math.min(...found);
}

/** Length of the longest end of `text` that is a beginning of a stop text. */
function longestStopStart(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (stop.startsWith(text.slice(text.length - length))) longest = length;
    }
  }
  return longest;
}

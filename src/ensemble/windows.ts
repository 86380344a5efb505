import type { LanguageModel } from "../ports/language-model.ts";
import type { Passage } from "./corpus.ts";

/** A passage as pieces that every member can hold: a text in its windows; an answer stays with its chat. */
export function passageWindows(passage: Passage, members: readonly LanguageModel[]): Passage[] {
  if (passage.kind === "chat") return [passage];
  return windowsOf(passage.text, members).map((text) => ({ kind: "text", text }));
}

/** Pieces of whole lines that every member can hold; a line too long for that is cut by characters. */
export function windowsOf(text: string, members: readonly LanguageModel[]): string[] {
  const limit = Math.min(...members.map((member) => member.info.contextLength)) - 1;
  const lengthOf = (piece: string): number =>
    Math.max(...members.map((member) => member.tokenizer.encode(piece).ids.length));
  if (lengthOf(text) <= limit) return [text];
  const windows: string[] = [];
  let window = "";
  let length = 0;
  for (const line of text.split(/(?<=\n)/).flatMap((whole) => cutLine(whole, limit, lengthOf))) {
    const more = lengthOf(line);
    if (length + more > limit && window !== "") {
      windows.push(window);
      window = "";
      length = 0;
    }
    window += line;
    length += more;
  }
  return window === "" ? windows : [...windows, window];
}

/** A token has at least one byte, so a quarter of the limit in characters always fits. */
function cutLine(line: string, limit: number, lengthOf: (piece: string) => number): string[] {
  if (lengthOf(line) <= limit) return [line];
  const characters = Array.from(line);
  const size = Math.max(1, Math.floor(limit / 4));
  return Array.from({ length: Math.ceil(characters.length / size) }, (_, i) =>
    characters.slice(i * size, (i + 1) * size).join(""),
  );
}

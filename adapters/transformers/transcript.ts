import type { ChatMessage } from "../../src/ports/tokenizer.ts";

const names = { system: "System", user: "User", assistant: "Assistant" } as const;

/**
 * A chat as a plain transcript, for a model that knows no turn marks. A speaker's text stands on a line of its own,
 * so that the answer begins with no space.
 */
export function renderTranscript(messages: readonly ChatMessage[]): string {
  const turns = messages.map(({ role, content }) => `${names[role]}:\n${content}\n\n`);
  return `${turns.join("")}${names.assistant}:\n`;
}

/** Where the model goes on with the next turn by itself. */
export const transcriptStops: readonly string[] = Object.values(names).flatMap((name) => [
  `\n\n${name}:`,
  `\n${name}:`,
]);

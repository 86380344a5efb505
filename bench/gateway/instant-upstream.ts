import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { answerRequests } from "../harness/script.ts";
import { INSTANT_COMPLETION_TOKENS, INSTANT_PROMPT_TOKENS, INSTANT_TEXT } from "./instant-engine.ts";

/* An OpenAI endpoint that answers every request at once with the same bytes: what the peers stand in front of. */

const body = Buffer.from(
  JSON.stringify({
    id: "chatcmpl-instant",
    object: "chat.completion",
    created: 1_750_000_000,
    model: "instant",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: INSTANT_TEXT, refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: {
      prompt_tokens: INSTANT_PROMPT_TOKENS,
      completion_tokens: INSTANT_COMPLETION_TOKENS,
      total_tokens: INSTANT_PROMPT_TOKENS + INSTANT_COMPLETION_TOKENS,
    },
  }),
);

const server = createServer((request, response) => {
  request.resume();
  request.once("end", () => {
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
    response.end(body);
  });
});
await new Promise<void>((resolve) => {
  server.listen({ host: "127.0.0.1", port: 0 }, resolve);
});
const { port } = server.address() as AddressInfo;
answerRequests({ url: async () => `http://127.0.0.1:${port}` });

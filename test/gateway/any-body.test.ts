import * as fc from "fast-check";
import { expect, test } from "vitest";
import { post, testGateway } from "./harness.ts";

const paths = fc.constantFrom("/v1/chat/completions", "/v1/completions");
const fields = [
  "messages",
  "prompt",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "n",
  "max_tokens",
  "max_completion_tokens",
  "stop",
  "seed",
  "logit_bias",
  "frequency_penalty",
  "presence_penalty",
  "logprobs",
  "top_logprobs",
  "stream",
  "stream_options",
  "echo",
  "tools",
  "response_format",
  "user",
  "__proto__",
  "constructor",
];
const message = fc.record(
  { role: fc.oneof(fc.constantFrom("user", "assistant", "tool"), fc.jsonValue()), content: fc.jsonValue() },
  { requiredKeys: [] },
);
const value = fc.oneof(fc.jsonValue(), fc.array(message, { maxLength: 3 }), fc.integer(), fc.boolean());
const body = fc
  .dictionary(fc.constantFrom(...fields), value)
  .map((given) => Object.assign({ model: "concord", prompt: "Hi" }, given));

test("no JSON body gets a 5xx, and every refusal has OpenAI's shape", async () => {
  const app = testGateway();
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(paths, fc.oneof(fc.jsonValue(), body), async (path, given) => {
      const answer = await post(app, path, given);
      expect(answer.status).toBeLessThan(500);
      if (answer.status === 200) {
        answered += 1;
        return;
      }
      const { error } = JSON.parse(answer.text);
      expect(Object.keys(error)).toEqual(["message", "type", "param", "code"]);
      expect(error.message).toMatch(/\S/);
    }),
    { numRuns: 1000, seed: 7 },
  );
  expect(answered).toBeGreaterThan(0);
});

test("no text as body gets a 5xx", async () => {
  const app = testGateway();
  await fc.assert(
    fc.asyncProperty(paths, fc.string({ unit: "binary" }), async (path, given) => {
      expect((await post(app, path, given)).status).toBe(400);
    }),
    { numRuns: 200, seed: 7 },
  );
});

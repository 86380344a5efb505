import { describe, expect, it, test } from "vitest";
import type { AnswerEvent, Question } from "../../src/ports/engine.ts";
import { createScriptedEngine, ending } from "../scripted-engine.ts";
import { errorOf, post, testGateway } from "./harness.ts";

const ENDPOINTS = [
  { path: "/v1/chat/completions", ask: { model: "concord", messages: [{ role: "user", content: "Wet?" }] } },
  { path: "/v1/completions", ask: { model: "concord", prompt: "Is water wet?" } },
];

/** Says the first choice, with these probabilities. */
function chooser(probabilities: readonly number[], confidence: number | null) {
  return createScriptedEngine(function* (question: Question): Generator<AnswerEvent> {
    yield { type: "delta", text: question.choices?.[0]?.text ?? "", tokens: [] };
    const end = ending(question);
    if (end.type !== "end") throw new Error("an ending ends");
    yield {
      ...end,
      confidence:
        confidence === null
          ? { value: null, reason: "nothing is known" }
          : {
              value: confidence,
              kind: "choice",
              calibration: { name: "piqa", items: 183, likeness: 0.4 },
            },
      choices: {
        chosen: 0,
        probabilities,
        predictionSet: question.demands?.coverage && confidence !== null ? [0] : null,
      },
    };
  });
}

describe.each(ENDPOINTS)("choices at $path", ({ path, ask }) => {
  it.each([
    ["structured_outputs", { choice: ["yes", "no"] }, ["yes", "no"]],
    ["guided_choice", ["yes", "no"], ["yes", "no"]],
    [
      "response_format",
      { type: "json_schema", json_schema: { name: "a", schema: { type: "string", enum: ["yes", "no"] } } },
      ['"yes"', '"no"'],
    ],
    [
      "response_format",
      {
        type: "json_schema",
        json_schema: {
          schema: {
            type: "object",
            properties: { wet: { enum: ["yes", "no"] } },
            required: ["wet"],
            additionalProperties: false,
          },
        },
      },
      ['{"wet":"yes"}', '{"wet":"no"}'],
    ],
  ])("are read from %s", async (field, value, texts) => {
    const engine = chooser([0.75, 0.25], 0.75);
    const answer = await post(testGateway({ engine }), path, { ...ask, [field]: value });
    expect(answer.status).toBe(200);
    const [question] = engine.questions;
    expect(question?.choices?.map(({ text }) => text)).toEqual(texts);
    expect(question?.choices?.map(({ value: read }) => read)).toEqual(["yes", "no"]);
    expect(question?.sampling.temperature).toBe(0);
    expect(question?.maxTokens).toBeNull();
    expect(reportIn(answer.text)).toMatchObject({
      confidence: 0.75,
      confidence_kind: "choice",
      calibrated_on: { set: "piqa", items: 183, likeness: 0.4 },
      choices: [
        { text: "yes", probability: 0.75 },
        { text: "no", probability: 0.25 },
      ],
    });
  });

  it("come with a prediction set and an abstention where these are asked for", async () => {
    const demand = { structured_outputs: { choice: ["yes", "no"] }, concord: { coverage: 0.9 } };
    const gateway = testGateway({ engine: chooser([0.75, 0.25], 0.75) });
    const asked = async (concord: object): Promise<object> =>
      reportIn((await post(gateway, path, { ...ask, ...demand, concord })).text);
    expect(await asked({ coverage: 0.9 })).toMatchObject({ prediction_set: ["yes"] });
    expect(await asked({ coverage: 0.9 })).not.toHaveProperty("abstain");
    expect(await asked({ min_confidence: 0.7 })).toMatchObject({ abstain: false });
    expect(await asked({ min_confidence: 0.8 })).toMatchObject({ abstain: true });
    expect(await asked({})).not.toHaveProperty("prediction_set");
  });

  it("abstain where nothing was calibrated, and say why", async () => {
    const gateway = testGateway({ engine: chooser([0.75, 0.25], null) });
    const body = { ...ask, guided_choice: ["yes", "no"], concord: { coverage: 0.9, min_confidence: 0 } };
    expect(reportIn((await post(gateway, path, body)).text)).toMatchObject({
      confidence: null,
      confidence_reason: "nothing is known",
      prediction_set: null,
      abstain: true,
    });
  });

  test.each([
    [{ guided_choice: [] }, "guided_choice", "an array of 1 to 128 strings"],
    [{ guided_choice: ["a", "a"] }, "guided_choice", "choices that differ"],
    [{ guided_choice: ["a", ""] }, "guided_choice[1]", "a string that is not empty"],
    [
      { guided_choice: ["a"], structured_outputs: { choice: ["b"] } },
      "guided_choice",
      "one form of the answer",
    ],
    [{ guided_choice: ["a"], stop: "a" }, "stop", "no text that is part of a choice"],
    [{ concord: { coverage: 0.9 } }, "concord.coverage", "choices beside it"],
    [{ guided_choice: ["a"], concord: { coverage: 1 } }, "concord.coverage", "above 0 and below 1"],
    [{ concord: { min_confidence: 2 } }, "concord.min_confidence", "a number from 0 to 1"],
    [{ concord: { temperature: 2 } }, "concord.temperature", "Unrecognized"],
    [{ structured_outputs: { colour: "red" } }, "structured_outputs.colour", "Unrecognized"],
  ])("%j is refused", async (fields, param, message) => {
    const answer = await post(testGateway(), path, { ...ask, ...fields });
    expect(answer.status).toBe(400);
    const error = errorOf(answer.text);
    expect(error).toMatchObject({ param, code: "invalid_request" });
    expect(error.message).toContain(message);
  });

  test.each([
    ["response_format", { type: "json_object" }],
    ["response_format", { type: "json_schema", json_schema: { schema: { type: "string" } } }],
    ["response_format", { type: "json_schema", json_schema: { schema: { enum: ["a", 1] } } }],
    ["response_format", { type: "json_schema", json_schema: { schema: { enum: ["a"], pattern: "b" } } }],
    ["structured_outputs", { regex: "a|b" }],
    ["structured_outputs", { choice: ["a"], regex: "a" }],
    ["guided_regex", "a|b"],
    ["guided_grammar", "root ::= a"],
  ])("%s %j is not supported, and says what is", async (field, value) => {
    const answer = await post(testGateway(), path, { ...ask, [field]: value });
    expect(answer.status).toBe(400);
    const error = errorOf(answer.text);
    expect(error).toMatchObject({ param: field, code: "unsupported_parameter" });
    expect(error.message).toContain("choice of strings");
  });

  test.each(["logit_bias", "frequency_penalty", "presence_penalty"])(
    "%s beside a choice is not supported",
    async (field) => {
      const value = field === "logit_bias" ? { 1: 1 } : 1;
      const answer = await post(testGateway(), path, { ...ask, guided_choice: ["a"], [field]: value });
      expect(errorOf(answer.text)).toMatchObject({ param: field, code: "unsupported_parameter" });
    },
  );
});

function reportIn(text: string): object {
  const body = JSON.parse(text) as { concord?: object };
  if (body.concord === undefined) throw new Error(`no report in ${text}`);
  return body.concord;
}

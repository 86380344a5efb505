import { createHash } from "node:crypto";
import { z } from "zod";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import {
  answerFeatures,
  answerGreedily,
  names,
  promptState,
  type JudgedAnswer,
} from "../../src/ensemble/short-answers.ts";
import { createSingleReading } from "../../src/ensemble/single-reading.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { openKeyedLines } from "./keyed-lines.ts";
import type { ProgressBar } from "./progress-bar.ts";
import { membersKey, modelsKey, scoresPath } from "./score-keys.ts";
import { stateFrom, stateText } from "./state-text.ts";

/** Raise it when the same questions come to other answers, features or states under the same models. */
const VERSION = 2;

const answerSchema = z.object({ text: z.string(), features: z.array(z.number()), state: z.base64() });

/**
 * Lets an ensemble, or one member that is given as such, go on after each item's context, and says whether the answer
 * names the right choice. What was answered before, also by a run that was killed, is read.
 */
export async function judgeAnswers(
  ensemble: Ensemble,
  items: readonly ChoiceItem[],
  progress: ProgressBar,
): Promise<JudgedAnswer[]> {
  const [anchor, ...followers] = ensemble.members;
  const models =
    followers.length === 0 ? membersKey(ensemble, `${VERSION}`) : modelsKey(ensemble, `${VERSION}`);
  const cache = await openKeyedLines(scoresPath("answers", models), answerSchema);
  const keyOf = ({ context }: ChoiceItem): string =>
    createHash("sha256")
      .update(JSON.stringify([models, context]))
      .digest("hex");
  try {
    const missing = items.filter((item) => cache.get(keyOf(item)) === undefined);
    if (missing.length > 0) {
      const who = followers.length === 0 ? anchor.info.id : "concord";
      progress.stage(`short answers of ${who}`, missing.length, "steps");
    }
    for (const [i, item] of missing.entries()) {
      const text = contextText(item);
      const prompt = { kind: "text", text } as const;
      const reading =
        followers.length === 0
          ? createSingleReading(anchor, prompt, systemClock)
          : createFusedReading(ensemble, prompt, systemClock);
      try {
        const { text: answer, signals } = await answerGreedily(reading, ensemble.members, text);
        const state = await promptState(ensemble.members, text);
        await cache.add(keyOf(item), {
          text: answer,
          features: answerFeatures(signals),
          state: stateText(state),
        });
      } finally {
        reading.close();
      }
      progress.update(i + 1);
    }
    progress.finish();
    return items.flatMap((item): JudgedAnswer[] => {
      const kept = cache.get(keyOf(item));
      // An answer without a token says nothing, and nothing is told of it.
      if (kept === undefined || kept.text.trim() === "") return [];
      const thing = item.choices[item.label] ?? "";
      return [{ features: kept.features, right: names(kept.text, thing), state: stateFrom(kept.state) }];
    });
  } finally {
    await cache.close();
  }
}

function contextText({ id, context }: ChoiceItem): string {
  if (typeof context === "string" && context !== "") return context;
  throw new Error(`item ${id}: expected a text to go on after, got ${context === "" ? "none" : "a chat"}`);
}

import type { ScoredItem } from "../src/ensemble/choice-ways.ts";
import { createRandom } from "../src/linalg/random.ts";

const memberIds = ["a", "b"];
/** d of both members' states. */
export const WIDTH = 12;

export interface Telling {
  /** How much better the right option's log-probability is under each member, in deviations of the noise. */
  readonly logprobs: number;
  /** As far as this the right option's state lies in a direction of its own. */
  readonly states: number;
}

/** Items of two to four options about which members say this much. */
export function simulatedItems(count: number, seed: number, telling: Telling): ScoredItem[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, i) => {
    const options = 2 + random.integer(3);
    const label = random.integer(options);
    const alone = memberIds.map((name, m) => ({
      name,
      tokens: Array.from({ length: options }, () => 3),
      logprobs: Array.from(
        { length: options },
        (_option, c) => -20 + random.normal() + (c === label ? telling.logprobs : 0),
      ),
      states: Array.from({ length: options }, (_option, c) =>
        Float32Array.from(
          { length: WIDTH },
          (_x, j) => 50 + random.normal() + (c === label && j === 2 + m ? telling.states : 0),
        ),
      ),
    }));
    return {
      item: {
        id: `${i}`,
        context: "",
        choices: Array.from({ length: options }, (_option, c) => `${c}`),
        label,
        split: "report",
      },
      scores: { bytes: Array.from({ length: options }, () => 9), alone, together: [] },
    };
  });
}

import type { ArmDefinition, ExperimentDefinition } from "../ports/experiments.ts";
import type { Question } from "../ports/engine.ts";
import { sha256, unitKey } from "./hash.ts";

/** What a question is assigned by; null where it has none. */
export async function unitOf(
  { unit }: Pick<ExperimentDefinition, "unit">,
  { requestId, caller }: Question,
): Promise<string | null> {
  if (unit === "request") return requestId;
  const value = unit === "user" ? caller?.user : caller?.header(unit.slice("header:".length));
  return value === null || value === undefined || value === "" ? null : unitKey(unit, value);
}

/**
 * A unit's arm, with a probability in proportion to the weights: that of the least −ln(u_a) / w_a over the arms a, where
 * u_a in (0, 1) are the first 52 bits of sha256(salt, unit, a) (weighted rendezvous hashing, Schindelhauer & Schomaker
 * 2005). So it is the same in every process and after every restart. Where weights change, only units move that an arm
 * which gained gets or one which lost gives up: no two units change places. Cost: a hash per arm.
 * @throws RangeError unless a weight is above 0
 */
export async function assignArm(
  { arms, salt }: Pick<ExperimentDefinition, "arms" | "salt">,
  unit: string,
): Promise<ArmDefinition> {
  let least: { readonly arm: ArmDefinition; readonly score: number } | null = null;
  for (const arm of arms) {
    if (arm.weight <= 0) continue;
    const score = -Math.log(await uniform([salt, unit, arm.name])) / arm.weight;
    if (least === null || score < least.score) least = { arm, score };
  }
  if (least === null) throw new RangeError("assignArm: expected an arm with a weight above 0, got none");
  return least.arm;
}

/** In (0, 1). */
async function uniform(parts: readonly string[]): Promise<number> {
  const view = new DataView((await sha256(parts)).buffer);
  const bits = view.getUint32(0) * 2 ** 20 + (view.getUint32(4) >>> 12);
  return (bits + 0.5) / 2 ** 52;
}

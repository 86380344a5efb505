import type { ArmCount, Experiment } from "../ports/experiments.ts";

/** What has become of one arm's requests, over all allocations. */
export interface ArmTally {
  readonly name: string;
  /** Distinct ones that an answer was returned to. */
  readonly units: number;
  readonly returned: number;
  readonly answered: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly dropped: number;
}

/** In the order of the arms. */
export function armTallies({ arms }: Pick<Experiment, "arms">, counts: readonly ArmCount[]): ArmTally[] {
  return arms.map(({ name }) => {
    const own = counts.filter(({ arm }) => arm === name);
    const answers = (status: ArmCount["status"]): number =>
      sum(own.filter((one) => one.status === status).map((one) => one.answers));
    return {
      name,
      units: sum(own.map(({ units }) => units)),
      returned: sum(own.filter(({ role }) => role === "returned").map((one) => one.answers)),
      answered: answers("answered"),
      failed: answers("failed"),
      cancelled: answers("cancelled"),
      dropped: answers("dropped"),
    };
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

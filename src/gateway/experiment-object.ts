import type { ArmCount, Experiment, Observation } from "../ports/experiments.ts";

const seconds = (ms: number | null): number | null => (ms === null ? null : Math.floor(ms / 1000));

/** An experiment as the API shows it: what it was created from, and what has become of it. */
export function experimentObject(experiment: Experiment) {
  const { plan, returned } = experiment;
  return {
    object: "experiment",
    name: experiment.name,
    description: experiment.description,
    state: experiment.state,
    mode: experiment.mode,
    arms: experiment.arms,
    control: experiment.control,
    assign_by: experiment.unit,
    salt: experiment.salt,
    ...(experiment.mode === "split" ? {} : { returned: returned === "assigned" ? returned : returned.arm }),
    default_for: experiment.defaultFor,
    metrics: experiment.metrics,
    alpha: plan.alpha,
    planned_units: plan.units,
    minimum_effect: plan.minimumEffect,
    created: seconds(experiment.createdAt),
    started: seconds(experiment.startedAt),
    stopped: seconds(experiment.stoppedAt),
    winner: experiment.winner,
    allocations: experiment.allocations.map(({ from, weights }) => ({ from: seconds(from), weights })),
  };
}

/** How many went where, by arm. */
export function armsObject({ arms }: Experiment, counts: readonly ArmCount[]) {
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

export function observationObject({ at, ...observation }: Observation) {
  return { ...observation, at: new Date(at).toISOString() };
}

/** One line per observation; an arm that a unit was not in has an empty cell. */
export function observationsCsv({ arms }: Experiment, observations: readonly Observation[]): string {
  const names = arms.map(({ name }) => name);
  const lines = observations.map(({ sequence, at, unit, values, judged, covariate }) =>
    [
      sequence,
      new Date(at).toISOString(),
      csvCell(unit),
      ...names.map((name) => values[name] ?? ""),
      judged,
      covariate,
    ].join(","),
  );
  const head = ["sequence", "at", "unit", ...names, "judged", "covariate"].join(",");
  return [head, ...lines, ""].join("\r\n");
}

/** RFC 4180. Arms' names need no quotes. */
function csvCell(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

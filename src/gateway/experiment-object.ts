import type { ExperimentAnalysis } from "../experiments/analyse.ts";
import type { Experiment, Observation } from "../ports/experiments.ts";

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

/** An analysis as the API shows it. */
export function analysisObject(
  experiment: string,
  { metric, alpha, arms, comparisons, sampleRatio }: ExperimentAnalysis,
) {
  return {
    object: "experiment.analysis",
    experiment,
    metric,
    alpha,
    arms,
    comparisons: comparisons.map(({ pValue, sequence, ...comparison }) => ({
      ...comparison,
      p_value: pValue,
      sequence: sequence.map(({ at, ...point }) => ({ ...point, at: new Date(at).toISOString() })),
    })),
    sample_ratio: {
      chi_square: sampleRatio.chiSquare,
      p_value: sampleRatio.pValue,
      sequential_p_value: sampleRatio.sequentialPValue,
      alarm: sampleRatio.alarm,
    },
  };
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

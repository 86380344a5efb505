import type { ExperimentDefinition } from "../ports/experiments.ts";
import { GatewayError } from "../ports/gateway-error.ts";

/** A model of this name and an experiment's asks the experiment. */
export const EXPERIMENT_PREFIX = "experiment:";

/** What feedback may say of any answer, whatever metrics an experiment has. */
export const COMMENT = "comment";
export const DEMONSTRATION = "demonstration";
/** A boolean: was the answer right. Also what a demonstration of the right choice says. */
export const CORRECT = "correct";

/**
 * Checks what no single field shows.
 * @param models that arms may be
 * @throws GatewayError invalid_request naming the field at fault
 */
export function checkDefinition(definition: ExperimentDefinition, models: readonly string[]): void {
  const { arms, control, mode, returned, metrics, defaultFor } = definition;
  const names = arms.map(({ name }) => name);
  for (const [i, { name, model }] of arms.entries()) {
    if (names.indexOf(name) !== i) throw invalid(`arms[${i}].name`, `a name of its own, got ${name} again`);
    if (!models.includes(model)) {
      throw invalid(
        `arms[${i}].model`,
        `one of ${models.join(", ")}, got ${model}; an ensemble of another map is opened with serve --experiments`,
      );
    }
  }
  if (!arms.some(({ weight }) => weight > 0)) throw invalid("arms", "a weight above 0, got none");
  if (mode === "paired_shadow" && arms.length !== 2) {
    throw invalid("arms", `2 of them where they are paired, got ${arms.length}`);
  }
  if (!names.includes(control))
    throw invalid("control", `one of the arms ${names.join(", ")}, got ${control}`);
  if (returned !== "assigned" && !names.includes(returned.arm)) {
    throw invalid("returned", `"assigned" or one of the arms ${names.join(", ")}, got ${returned.arm}`);
  }
  if (mode === "split" && returned !== "assigned") {
    throw invalid("returned", '"assigned" in a split, where one arm alone answers');
  }
  if (defaultFor !== null && !models.includes(defaultFor)) {
    throw invalid("default_for", `one of ${models.join(", ")}, got ${defaultFor}`);
  }
  for (const [i, { name, kind, bounds, better }] of metrics.entries()) {
    const field = `metrics[${i}]`;
    if (metrics.findIndex((metric) => metric.name === name) !== i) {
      throw invalid(`${field}.name`, `a name of its own, got ${name} again`);
    }
    if (name === COMMENT || name === DEMONSTRATION) {
      throw invalid(`${field}.name`, `another name than ${name}, which feedback may have in any case`);
    }
    if (name === CORRECT && (kind !== "boolean" || better !== "higher")) {
      throw invalid(
        field,
        `${CORRECT} to be a boolean of which higher is better, as it is without experiments`,
      );
    }
    if (bounds !== null && !(bounds[0] < bounds[1])) {
      throw invalid(`${field}.bounds`, `a lower bound below the upper, got ${bounds.join(" and ")}`);
    }
  }
}

function invalid(param: string, expected: string): GatewayError {
  return new GatewayError("invalid_request", `${param}: expected ${expected}.`, { param });
}

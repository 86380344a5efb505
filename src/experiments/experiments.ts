import type { Clock } from "../ports/clock.ts";
import type {
  Allocation,
  ArmCount,
  ArmDefinition,
  Experiment,
  ExperimentDefinition,
  ExperimentStore,
  MetricDefinition,
  Observation,
} from "../ports/experiments.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { analyseExperiment, type ExperimentAnalysis } from "./analyse.ts";
import { checkDefinition, EXPERIMENT_PREFIX } from "./definition.ts";
import { observationsOf } from "./observations.ts";

/** What may be changed of an experiment that is not stopped. */
export interface ExperimentChange {
  readonly description?: string | undefined;
  /** By arm; an arm that is not named keeps its weight. */
  readonly weights?: Readonly<Record<string, number>> | undefined;
  readonly defaultFor?: string | null | undefined;
}

/** Experiments as they are run: who writes the store, and what is known of it without asking. */
export interface Experiments {
  /** As they were at most two seconds ago, where another process changes them; the newest first. */
  known(): readonly Experiment[];
  /** The experiment that a request for a model goes to, if any. */
  routed(model: string): Promise<Experiment | null>;
  list(): Promise<readonly Experiment[]>;
  /** @throws GatewayError not_found */
  find(name: string): Promise<Experiment>;
  /** As a draft. @throws GatewayError invalid_request | conflict when the name is taken */
  create(definition: ExperimentDefinition): Promise<Experiment>;
  /** @throws GatewayError not_found | invalid_request | conflict when it is stopped */
  change(name: string, change: ExperimentChange): Promise<Experiment>;
  /** From a draft or a pause. @throws GatewayError not_found | invalid_request | conflict when it is stopped */
  start(name: string): Promise<Experiment>;
  /** Until it is started again the control answers, and nothing is recorded. @throws GatewayError not_found | conflict */
  pause(name: string): Promise<Experiment>;
  /**
   * For good. What is being answered is still recorded, and feedback still counts.
   * @param winner the arm that answers from now on; null: the control, or who was named before
   * @throws GatewayError not_found | invalid_request | conflict when it never ran
   */
  stop(name: string, winner: string | null): Promise<Experiment>;
  /** A draft. @throws GatewayError not_found | conflict when it is none */
  remove(name: string): Promise<void>;
  /** @throws GatewayError not_found */
  counts(name: string): Promise<readonly ArmCount[]>;
  /** @throws GatewayError not_found | invalid_request for a metric that it has not */
  observations(name: string, metric: string): Promise<readonly Observation[]>;
  /** What these say. @throws GatewayError as `observations` does */
  analyse(name: string, metric: string): Promise<ExperimentAnalysis>;
}

export interface ExperimentsOptions {
  readonly store: ExperimentStore;
  /** That arms may be. */
  readonly models: () => readonly string[];
  readonly clock: Clock;
}

/** How long what another process has changed may stay unseen, milliseconds. */
const STALE_MS = 2000;

/** Reads what there is first. */
export async function createExperiments({ store, models, clock }: ExperimentsOptions): Promise<Experiments> {
  let known = await store.list();
  let readAt = clock.monotonic();

  async function list(): Promise<readonly Experiment[]> {
    readAt = clock.monotonic();
    known = await store.list();
    return known;
  }

  const current = async (): Promise<readonly Experiment[]> =>
    clock.monotonic() - readAt > STALE_MS ? list() : known;

  async function find(name: string): Promise<Experiment> {
    const found = (await list()).find((experiment) => experiment.name === name);
    if (found !== undefined) return found;
    throw new GatewayError("not_found", `There is no experiment '${name}': GET /v1/experiments lists them.`, {
      param: "name",
    });
  }

  async function write(changed: Experiment, from: Experiment["state"]): Promise<Experiment> {
    if (!(await store.update(changed, from))) {
      throw conflict(
        `The experiment '${changed.name}' was changed by somebody else at this moment: try again.`,
      );
    }
    await list();
    return changed;
  }

  /** @throws GatewayError conflict when another running experiment takes the same model's requests */
  function checkRoute({ name, defaultFor, state }: Experiment): void {
    if (defaultFor === null || state !== "running") return;
    const other = known.find(
      (one) => one.name !== name && one.state === "running" && one.defaultFor === defaultFor,
    );
    if (other === undefined) return;
    throw conflict(
      `The experiment '${other.name}' takes the requests for ${defaultFor} already: stop it, or leave out default_for.`,
    );
  }

  return {
    known() {
      if (clock.monotonic() - readAt > STALE_MS) list().catch(() => {});
      return known;
    },

    async routed(model) {
      const experiments = await current();
      if (model.startsWith(EXPERIMENT_PREFIX)) {
        const name = model.slice(EXPERIMENT_PREFIX.length);
        return experiments.find((experiment) => experiment.name === name) ?? null;
      }
      return experiments.find(({ state, defaultFor }) => state === "running" && defaultFor === model) ?? null;
    },

    list,
    find,

    async create(definition) {
      checkDefinition(definition, models());
      const experiment: Experiment = {
        ...definition,
        state: "draft",
        createdAt: clock.now(),
        startedAt: null,
        stoppedAt: null,
        winner: null,
        allocations: [],
      };
      if (!(await store.create(experiment))) {
        throw conflict(`There is an experiment '${definition.name}' already: choose another name.`);
      }
      await list();
      return experiment;
    },

    async change(name, { description, weights, defaultFor }) {
      const before = await find(name);
      if (before.state === "stopped") throw conflict(`The experiment '${name}' is stopped: start a new one.`);
      const arms = weights === undefined ? before.arms : reweighted(before.arms, weights);
      const changed: Experiment = {
        ...before,
        arms,
        description: description ?? before.description,
        defaultFor: defaultFor === undefined ? before.defaultFor : defaultFor,
        allocations:
          weights === undefined || before.allocations.length === 0
            ? before.allocations
            : [...before.allocations, allocationOf(arms, clock.now())],
      };
      checkDefinition(changed, models());
      checkRoute(changed);
      return write(changed, before.state);
    },

    async start(name) {
      const before = await find(name);
      if (before.state === "running") return before;
      if (before.state === "stopped") throw conflict(`The experiment '${name}' is stopped: start a new one.`);
      checkDefinition(before, models());
      const now = clock.now();
      const changed: Experiment = {
        ...before,
        state: "running",
        startedAt: before.startedAt ?? now,
        allocations: before.allocations.length === 0 ? [allocationOf(before.arms, now)] : before.allocations,
      };
      checkRoute(changed);
      return write(changed, before.state);
    },

    async pause(name) {
      const before = await find(name);
      if (before.state === "paused") return before;
      if (before.state !== "running") {
        throw conflict(`The experiment '${name}' is ${before.state}: only a running one can be paused.`);
      }
      return write({ ...before, state: "paused" }, "running");
    },

    async stop(name, winner) {
      const before = await find(name);
      if (before.state === "draft") throw conflict(`The experiment '${name}' has not run: delete it.`);
      if (winner !== null && !before.arms.some((arm) => arm.name === winner)) {
        const arms = before.arms.map((arm) => arm.name).join(", ");
        throw new GatewayError("invalid_request", `winner: expected one of ${arms}, got ${winner}.`, {
          param: "winner",
        });
      }
      return write(
        {
          ...before,
          state: "stopped",
          stoppedAt: before.stoppedAt ?? clock.now(),
          winner: winner ?? before.winner,
        },
        before.state,
      );
    },

    async remove(name) {
      const { state } = await find(name);
      if (state !== "draft" || !(await store.remove(name))) {
        throw conflict(
          `The experiment '${name}' is ${state}: only a draft can be deleted, samples are kept.`,
        );
      }
      await list();
    },

    async counts(name) {
      await find(name);
      return store.counts(name);
    },

    async observations(name, metric) {
      const experiment = await find(name);
      metricOf(experiment, metric);
      return observationsOf(experiment, await store.judgements(name, metric));
    },

    async analyse(name, metricName) {
      const experiment = await find(name);
      const metric = metricOf(experiment, metricName);
      const [judgements, counts] = await Promise.all([
        store.judgements(name, metricName),
        store.counts(name),
      ]);
      return analyseExperiment(experiment, metric, observationsOf(experiment, judgements), counts);
    },
  };
}

/** @throws GatewayError invalid_request when the experiment has no such metric */
function metricOf({ metrics }: Experiment, name: string): MetricDefinition {
  const metric = metrics.find((one) => one.name === name);
  if (metric !== undefined) return metric;
  const message = `metric: expected one of ${metrics.map((one) => one.name).join(", ")}, got ${name}.`;
  throw new GatewayError("invalid_request", message, { param: "metric" });
}

/** Who answers while an experiment does not run. */
export function restingArm({ arms, control, winner }: Experiment): ArmDefinition {
  const name = winner ?? control;
  const arm = arms.find((one) => one.name === name);
  if (arm === undefined) throw new Error(`experiment: no arm is called ${name}`);
  return arm;
}

function allocationOf(arms: readonly ArmDefinition[], from: number): Allocation {
  return { from, weights: Object.fromEntries(arms.map(({ name, weight }) => [name, weight])) };
}

/** @throws GatewayError invalid_request for a weight of no arm */
function reweighted(
  arms: readonly ArmDefinition[],
  weights: Readonly<Record<string, number>>,
): ArmDefinition[] {
  const unknown = Object.keys(weights).find((name) => !arms.some((arm) => arm.name === name));
  if (unknown !== undefined) {
    const message = `weights: expected some of ${arms.map(({ name }) => name).join(", ")}, got ${unknown}.`;
    throw new GatewayError("invalid_request", message, { param: "weights" });
  }
  return arms.map((arm) => ({ ...arm, weight: weights[arm.name] ?? arm.weight }));
}

function conflict(message: string): GatewayError {
  return new GatewayError("conflict", message);
}

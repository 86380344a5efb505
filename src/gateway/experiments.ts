import type { Experiments } from "../experiments/experiments.ts";
import type { FeedbackDesk } from "../experiments/feedback.ts";
import type { Experiment } from "../ports/experiments.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { GatewayContext } from "./environment.ts";
import { armTallies } from "../experiments/arm-tallies.ts";
import { analysisObject, experimentObject, observationObject, observationsCsv } from "./experiment-object.ts";
import {
  analysisQuery,
  definitionOf,
  experimentChange,
  experimentFields,
  experimentStop,
  feedbackFields,
  observationsQuery,
} from "./experiment-schemas.ts";
import { readFields } from "./invalid-field.ts";
import { readJsonObject, readOptionalJsonObject } from "./request-body.ts";

const nameOf = (c: GatewayContext): string => c.req.param("name") ?? "";

/** `POST /v1/experiments`: a draft, or with `start` a running one. */
export const createExperiment =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const fields = readFields(experimentFields, await readJsonObject(c));
    const draft = await experiments.create(definitionOf(fields));
    return c.json(experimentObject(fields.start ? await experiments.start(draft.name) : draft));
  };

/** `GET /v1/experiments` */
export const listExperiments =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> =>
    c.json({ object: "list", data: (await experiments.list()).map(experimentObject) });

/** `GET /v1/experiments/:name`: with how many went where. */
export const findExperiment =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const experiment = await experiments.find(nameOf(c));
    const counts = await experiments.counts(experiment.name);
    return c.json({ ...experimentObject(experiment), counts: armTallies(experiment, counts) });
  };

/** `PATCH /v1/experiments/:name` */
export const changeExperiment =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const fields = readFields(experimentChange, await readJsonObject(c, "keep nulls"));
    const { description, weights, default_for: defaultFor } = fields;
    return c.json(
      experimentObject(await experiments.change(nameOf(c), { description, weights, defaultFor })),
    );
  };

/** `POST /v1/experiments/:name/start` and the like. */
export const moveExperiment =
  (move: (name: string) => Promise<Experiment>) =>
  async (c: GatewayContext): Promise<Response> => {
    const [field] = Object.keys(await readOptionalJsonObject(c));
    if (field !== undefined) {
      throw new GatewayError("invalid_request", `Unrecognized request argument: ${field}. Remove it.`, {
        param: field,
      });
    }
    return c.json(experimentObject(await move(nameOf(c))));
  };

/** `POST /v1/experiments/:name/stop` */
export const stopExperiment =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const { winner = null } = readFields(experimentStop, await readOptionalJsonObject(c));
    return c.json(experimentObject(await experiments.stop(nameOf(c), winner)));
  };

/** `DELETE /v1/experiments/:name`: a draft. */
export const removeExperiment =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const name = nameOf(c);
    await experiments.remove(name);
    return c.json({ object: "experiment.deleted", name, deleted: true });
  };

/** `GET /v1/experiments/:name/analysis?metric=`: what its samples say, however often one looks. */
export const analyseObservations =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const { metric } = readFields(analysisQuery, c.req.query());
    const { name, metrics } = await experiments.find(nameOf(c));
    return c.json(analysisObject(name, await experiments.analyse(name, metric ?? metrics[0].name)));
  };

/** `GET /v1/experiments/:name/observations?metric=&format=`: the samples that the analysis reads; as JSON or CSV. */
export const listObservations =
  (experiments: Experiments) =>
  async (c: GatewayContext): Promise<Response> => {
    const query = readFields(observationsQuery, c.req.query());
    const experiment = await experiments.find(nameOf(c));
    const metric = query.metric ?? experiment.metrics[0].name;
    const observations = await experiments.observations(experiment.name, metric);
    if (query.format === "json") {
      const { name } = experiment;
      return c.json({ object: "list", experiment: name, metric, data: observations.map(observationObject) });
    }
    const file = `${experiment.name}-${metric}.csv`;
    return c.body(observationsCsv(experiment, observations), 200, {
      "content-type": "text/csv; charset=utf-8",
      "content-disposition": `attachment; filename="${file}"`,
    });
  };

/** `POST /feedback`, as TensorZero has it, about a request or a user. */
export const giveFeedback =
  (desk: FeedbackDesk) =>
  async (c: GatewayContext): Promise<Response> => {
    const fields = readFields(feedbackFields, await readJsonObject(c));
    const { metric_name: metric, value, request_id: requestId, user, id, tags, dryrun: dryRun } = fields;
    if ((requestId === undefined) === (user === undefined)) {
      const got = requestId === undefined ? "neither" : "both";
      throw new GatewayError("invalid_request", `request_id: expected either it or user, got ${got}.`, {
        param: "request_id",
      });
    }
    const about = requestId === undefined ? { user: user ?? "" } : { requestId };
    const given = await desk.give({ metric, value, about, id, tags, dryRun });
    return c.json({ feedback_id: given.id, outcome: given.outcome, experiments: given.experiments });
  };

import type { ModelCard } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { GatewayContext, ModelSources } from "./environment.ts";
import { describe } from "./invalid-field.ts";

const modelObject = (card: ModelCard) => ({
  id: card.id,
  object: "model",
  created: card.created,
  owned_by: card.ownedBy,
  context_length: card.contextLength,
});

/** Models that answer, then those that give embeddings alone. */
function allModels({ engine, embedder }: ModelSources): readonly ModelCard[] {
  const answering = engine.models();
  const ids = new Set(answering.map(({ id }) => id));
  return [...answering, ...(embedder?.models() ?? []).filter(({ id }) => !ids.has(id))];
}

/** `GET /v1/models` */
export const listModels =
  (sources: ModelSources) =>
  (c: GatewayContext): Response =>
    c.json({ object: "list", data: allModels(sources).map(modelObject) });

/** `GET /v1/models/:id` */
export const findModel =
  (sources: ModelSources) =>
  (c: GatewayContext): Response => {
    const id = c.req.param("id") ?? "";
    const models = allModels(sources);
    const card = models.find((model) => model.id === id);
    if (card !== undefined) return c.json(modelObject(card));
    const known = models.map((model) => model.id).join(", ");
    const message = `The model ${describe(id)} does not exist: expected one of ${known}.`;
    throw new GatewayError("unknown_model", message, { param: "model" });
  };

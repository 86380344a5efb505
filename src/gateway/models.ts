import type { Engine, ModelCard } from "../ports/engine.ts";
import { requireModel } from "./answer.ts";
import type { GatewayContext } from "./environment.ts";

const modelObject = (card: ModelCard) => ({
  id: card.id,
  object: "model",
  created: card.created,
  owned_by: card.ownedBy,
  context_length: card.contextLength,
});

/** `GET /v1/models` */
export const listModels =
  (engine: Engine) =>
  (c: GatewayContext): Response =>
    c.json({ object: "list", data: engine.models().map(modelObject) });

/** `GET /v1/models/:id` */
export const findModel =
  (engine: Engine) =>
  (c: GatewayContext): Response => {
    const id = c.req.param("id") ?? "";
    requireModel(engine, id);
    return c.json(
      engine
        .models()
        .filter((card) => card.id === id)
        .map(modelObject)[0],
    );
  };

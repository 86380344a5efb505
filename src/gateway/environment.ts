import type { Context } from "hono";
import type { Clock } from "../ports/clock.ts";
import type { Embedder } from "../ports/embedder.ts";
import type { Engine } from "../ports/engine.ts";
import type { Observation } from "./observation.ts";

/** What every handler finds in its context. */
export interface GatewayEnvironment {
  readonly Variables: {
    /** The id of this request: in the header `x-request-id`, in the answer and in the log. */
    readonly requestId: string;
    /** What is told of it goes through this. */
    readonly observation: Observation;
  };
}

export type GatewayContext = Context<GatewayEnvironment>;

/** Whose models there are. */
export interface ModelSources {
  readonly engine: Engine;
  /** Null where nothing gives embeddings. */
  readonly embedder: Embedder | null;
}

/** What the endpoints that answer need. */
export interface AnswerSource extends ModelSources {
  readonly clock: Clock;
  /** Tells the operator of a failure that is the gateway's own; the client's faults are not told. */
  readonly reportFailure: (error: unknown, requestId: string) => void;
}

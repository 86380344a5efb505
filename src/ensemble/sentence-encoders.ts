import { projectSentences, type SentenceMap, type SentenceSpace } from "../alignment/sentence-space.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { SentenceEncoder } from "../ports/sentence-encoder.ts";
import type { SentenceEncoders, SpaceDepth } from "../ports/sentence-encoders.ts";

/** A model that can be started. */
export interface EncoderSource {
  readonly id: string;
  /** sha256 of its weight file, hex: a map belongs to exactly these weights. */
  readonly weightsHash: string;
  open(): Promise<OpenEncoder>;
}

export interface OpenEncoder {
  readonly encoder: SentenceEncoder;
  close(): Promise<void>;
}

export interface SentenceEncodersOptions {
  readonly sources: readonly EncoderSource[];
  /** By depth, the best for one space alone first; of one dimension. */
  readonly spaces: ReadonlyMap<SpaceDepth, SentenceSpace>;
  /** Identity of the spaces. */
  readonly space: string;
  /** The models that the spaces were fitted on. */
  readonly fitted: readonly Pick<EncoderSource, "id" | "weightsHash">[];
}

export interface ClosableEncoders extends SentenceEncoders {
  /** Ends what was started; one that is starting first ends its start. */
  close(): Promise<void>;
}

/**
 * Many encoders, each started when first asked and kept. One that cannot start fails the calls that need it, and the next
 * one tries again; one that is lost later is its source's to replace. The others go on.
 */
export function createSentenceEncoders(options: SentenceEncodersOptions): ClosableEncoders {
  const { sources, spaces, space, fitted } = options;
  const opened = new Map<string, Promise<OpenEncoder>>();
  let closed = false;
  const depths = [...spaces.keys()];
  const dimension = [...spaces.values()][0]?.dimension ?? 0;
  const ids = sources.map(({ id }) => id);
  const sharedIds = sources
    .filter((source) =>
      fitted.some(({ id, weightsHash }) => id === source.id && weightsHash === source.weightsHash),
    )
    .map(({ id }) => id);

  async function start(id: string): Promise<OpenEncoder> {
    const source = sources.find((candidate) => candidate.id === id);
    if (source === undefined) {
      const message = `the model '${id}' gives no sentence states; there are: ${ids.join(", ")}`;
      throw new GatewayError("unknown_model", message, { param: "model" });
    }
    if (closed) throw new GatewayError("members_lost", `${id}: it was closed`);
    const starting = opened.get(id) ?? source.open();
    opened.set(id, starting);
    try {
      return await starting;
    } catch (cause) {
      if (opened.get(id) === starting) opened.delete(id);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GatewayError("members_lost", `${id} could not be started: ${reason}`, { cause });
    }
  }

  async function use<T>(id: string, work: (encoder: SentenceEncoder) => Promise<T>): Promise<T> {
    const { encoder } = await start(id);
    return work(encoder);
  }

  function mapOf(id: string, depth: SpaceDepth): SentenceMap {
    const found = spaces.get(depth);
    if (found === undefined) {
      throw new RangeError(`shared: expected a depth of ${depths.join(", ")}, got ${depth}`);
    }
    const map = sharedIds.includes(id) ? found.maps.find((candidate) => candidate.id === id) : undefined;
    if (map === undefined) {
      const message = `the model '${id}' has no map into the shared space; there are: ${sharedIds.join(", ")}`;
      throw new GatewayError("unknown_model", message, { param: "model" });
    }
    return map;
  }

  return {
    ids,
    sharedIds,
    space,
    depths,
    info: (id) => use(id, async ({ info }) => info),
    encode: (id, texts, encodeOptions) => use(id, (encoder) => encoder.encode(texts, encodeOptions)),
    async shared(id, texts, { depths: asked = depths.slice(0, 1), signal } = {}) {
      const maps = asked.map((depth) => [depth, mapOf(id, depth)] as const);
      const layers = [...new Set(maps.map(([, { layer }]) => layer))];
      const read = await use(id, (encoder) => encoder.encode(texts, { layers, signal }));
      const states = maps.map(([depth, map]) => {
        const own = read.layers.get(map.layer);
        if (own === undefined) throw new Error(`${id}: encoded without the layer ${map.layer} asked for`);
        return [depth, projectSentences(map, own)] as const;
      });
      return { dimension, states: new Map(states), tokens: read.tokens };
    },
    async close() {
      closed = true;
      const running = await Promise.allSettled(opened.values());
      await Promise.all(running.map((model) => (model.status === "fulfilled" ? model.value.close() : null)));
    },
  };
}

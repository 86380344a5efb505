import type { Clock } from "../ports/clock.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Probe, ProbeStore, ProbeSummary } from "../ports/probe-store.ts";
import type { Classification, ClassifyRequest, ProbeFitRequest, Probes } from "../ports/probes.ts";
import type { SentenceEncoders, SharedStates, SpaceDepth } from "../ports/sentence-encoders.ts";
import {
  fitProbeHead,
  headProbabilities,
  headScores,
  meanStates,
  type ProbeHead,
  type ProbeOutcomes,
  type ProbeTraining,
} from "./probe-head.ts";

export interface FitHeadOptions {
  /** Told the share that is done, in (0, 1]. */
  readonly onProgress: (share: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface ProbesOptions {
  readonly encoders: SentenceEncoders;
  readonly store: ProbeStore;
  readonly clock: Clock;
  /** Where heads are learned, which may take minutes. Default: here and now, holding up everything else. */
  readonly fitHead?: ((training: ProbeTraining, options: FitHeadOptions) => Promise<ProbeHead>) | undefined;
}

/** Texts read between two reports of progress. */
const TEXTS_AT_ONCE = 50;
const FIT_STEPS = 1000;

/** Probes over the shared sentence space. A member that is lost while texts are classified is left out of the mean. */
export function createProbes({ encoders, store, clock, fitHead = fitHere }: ProbesOptions): Probes {
  async function find(name: string, version?: number): Promise<Probe> {
    const probe = await store.find(name, version);
    if (probe !== null) return probe;
    const versions = (await store.list(name)).map((known) => known.version);
    const names = [...new Set((await store.list()).map((known) => known.name))];
    const message =
      versions.length > 0
        ? `The probe '${name}' has no version ${version}: expected one of ${versions.join(", ")}.`
        : `There is no probe '${name}': ${names.length === 0 ? "none was fitted yet; POST /v1/probes does it" : `expected one of ${names.join(", ")}`}.`;
    throw new GatewayError("unknown_model", message, { param: "model" });
  }

  /** @throws GatewayError unknown_model for a member without a map, naming the field */
  function membersOf(asked: readonly string[], param: string): readonly string[] {
    const { sharedIds } = encoders;
    const wrong = asked.find((id, at) => !sharedIds.includes(id) || asked.indexOf(id) !== at);
    if (asked.length > 0 && wrong === undefined) return asked;
    const known = sharedIds.join(", ");
    const message = `${param}: expected some of ${known}, each once, got '${wrong ?? ""}'.`;
    throw new GatewayError("unknown_model", message, { param });
  }

  async function readExamples(
    members: readonly string[],
    depths: readonly SpaceDepth[],
    { texts, progress, signal }: ProbeFitRequest,
  ): Promise<Pick<ProbeTraining, "states" | "dimension">> {
    const states = new Map(depths.map((depth) => [depth, [] as Float32Array[]]));
    let dimension = 0;
    for (const id of members) {
      progress.stage(`${id} reads ${texts.length} examples`, texts.length, "steps");
      for (let first = 0; first < texts.length; first += TEXTS_AT_ONCE) {
        const part = texts.slice(first, first + TEXTS_AT_ONCE);
        const read = await encoders.shared(id, part, { depths, signal }).catch((error: unknown) => {
          throw asTextError(error, `examples ${first} to ${first + part.length - 1}`, "examples");
        });
        dimension = read.dimension;
        for (const [depth, blocks] of states) {
          if (first === 0) blocks.push(new Float32Array(texts.length * dimension));
          blocks.at(-1)?.set(statesAt(read, depth), first * dimension);
        }
        progress.update(first + part.length);
      }
    }
    return { states, dimension };
  }

  /** The members' states of texts, those that were lost aside. @throws GatewayError members_lost when all were */
  async function readTexts(
    members: readonly string[],
    depth: SpaceDepth,
    { texts, signal }: ClassifyRequest,
  ) {
    const read = await Promise.allSettled(
      members.map((id) => encoders.shared(id, texts, { depths: [depth], signal })),
    );
    const blocks: { readonly id: string; readonly states: SharedStates }[] = [];
    const lost: { readonly id: string; readonly reason: string }[] = [];
    for (const [m, result] of read.entries()) {
      const id = members[m] ?? "";
      if (result.status === "fulfilled") {
        blocks.push({ id, states: result.value });
        continue;
      }
      const error = asTextError(result.reason, "input", "input");
      if (!(error instanceof GatewayError) || error.code !== "members_lost") throw error;
      lost.push({ id, reason: error.message });
    }
    if (blocks.length === 0) {
      throw new GatewayError("members_lost", lost.map(({ reason }) => reason).join("; "));
    }
    return { blocks, lost };
  }

  return {
    async fit(request) {
      const { name, progress, signal } = request;
      const outcomes = outcomesOf(request.outcomes);
      const members = membersOf(request.members ?? encoders.sharedIds, "members");
      const depths = request.depth === undefined ? encoders.depths : [request.depth];
      const { states, dimension } = await readExamples(members, depths, request);
      progress.stage("fitting", FIT_STEPS, "steps");
      const head = await fitHead(
        { members, dimension, states, outcomes, ridge: request.ridge ?? null },
        { onProgress: (share) => progress.update(Math.round(share * FIT_STEPS)), signal },
      );
      progress.finish();
      const kept = await store.add({ ...head, name, createdAt: clock.now(), space: encoders.space });
      return summaryOf(kept);
    },

    async classify(request): Promise<Classification> {
      const probe = await find(request.name, request.version);
      requireSpace(probe, encoders);
      const asked = membersOf(request.members ?? probe.members, "concord.members");
      const { blocks, lost } = await readTexts(asked, probe.depth, request);
      const members = blocks.map(({ id }) => id);
      const states = meanStates(blocks.map((block) => statesAt(block.states, probe.depth)));
      const read = { probe: summaryOf(probe), members, lost, tokens: tokensOf(blocks) };
      if (probe.task === "regression") {
        return { ...read, calibrated: false, outputs: headScores(probe, states).data };
      }
      const { probabilities, calibrated } = headProbabilities(probe, states, members);
      return { ...read, calibrated, outputs: probabilities.data };
    },

    list: (name) => store.list(name),
    find,

    async add(probe) {
      requireSpace(probe, encoders);
      membersOf(probe.members, "members");
      if (!encoders.depths.includes(probe.depth)) {
        throw invalid("depth", `expected one of ${encoders.depths.join(", ")}, got ${probe.depth}`);
      }
      return summaryOf(await store.add(probe));
    },

    async remove(name) {
      const removed = await store.remove(name);
      if (removed === 0) await find(name);
      return removed;
    },
  };
}

async function fitHere(training: ProbeTraining, { onProgress }: FitHeadOptions): Promise<ProbeHead> {
  return fitProbeHead(training, onProgress);
}

/** Classes in the order of their names. @throws GatewayError invalid_request when there is nothing to tell apart */
function outcomesOf(outcomes: ProbeFitRequest["outcomes"]): ProbeOutcomes {
  if (outcomes.task === "regression") {
    const { values } = outcomes;
    if (new Set(values).size < 2) {
      throw invalid(
        "examples",
        `expected at least 2 different values to learn from, got ${values.length} examples of one`,
      );
    }
    return { task: "regression", values };
  }
  const labels = [...new Set(outcomes.labels)].toSorted();
  if (labels.length < 2) {
    throw invalid(
      "examples",
      `expected examples of at least 2 classes, got ${outcomes.labels.length} of one`,
    );
  }
  const places = new Map(labels.map((label, place) => [label, place]));
  const classes = outcomes.labels.map((label) => places.get(label) ?? -1);
  return { task: "classification", labels, classes };
}

/** @throws GatewayError invalid_request when the head was learned in another space */
function requireSpace({ name, space }: Pick<Probe, "name" | "space">, encoders: SentenceEncoders): void {
  if (space === encoders.space) return;
  throw invalid(
    "model",
    `the probe '${name}' belongs to the shared space ${space.slice(0, 12)}…, and this gateway has ${encoders.space.slice(0, 12)}…: fit it again, or bring back its map`,
  );
}

/** What a text did wrong is the client's fault. */
function asTextError(error: unknown, where: string, param: string): unknown {
  if (error instanceof RangeError) return invalid(param, `${where}: ${error.message}`);
  if (error instanceof GatewayError && error.code === "context_length_exceeded") {
    return new GatewayError(error.code, `${where}: ${error.message}`, { param, cause: error });
  }
  return error;
}

function invalid(param: string, message: string): GatewayError {
  return new GatewayError("invalid_request", message, { param });
}

function statesAt({ states }: SharedStates, depth: SpaceDepth): Float32Array {
  const rows = states.get(depth);
  if (rows === undefined) throw new Error(`probes: read without the depth ${depth} asked for`);
  return rows;
}

function tokensOf(blocks: readonly { readonly states: SharedStates }[]): number {
  return blocks.reduce((sum, { states }) => states.tokens.reduce((a, b) => a + b, sum), 0);
}

function summaryOf({ weights: _weights, bias: _bias, ...summary }: Probe): ProbeSummary {
  return summary;
}

import { analyseExperiment } from "../../src/experiments/analyse.ts";
import type { ArmCount, Experiment, Observation } from "../../src/ports/experiments.ts";
import type { DashboardSources, ExperimentDesk } from "../../src/dashboard/sources.ts";
import type { ConfidenceRow } from "../../src/ensemble/confidence-report.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { EnsembleHealth } from "../../src/ports/health.ts";
import type { ProbeSummary } from "../../src/ports/probe-store.ts";
import type { Probes } from "../../src/ports/probes.ts";
import { riskCoverage } from "../../src/stats/ranking.ts";
import { reliabilityBins } from "../../src/stats/reliability.ts";
import {
  aDay,
  HOSTILE,
  MEMBERS,
  NOW,
  scriptedObservations,
  type ScriptedLog,
} from "./scripted-observations.ts";

/** Everything that pages show, with names that would be markup if they were let through. */
export function scriptedSources(
  log: ScriptedLog = aDay(),
): Required<Omit<DashboardSources, "apiKey" | "onInternalError">> {
  return {
    observations: scriptedObservations({ judged: verdicts(11, 300), ...log }),
    clock: { now: () => NOW, monotonic: () => 0 },
    health: () => HEALTH,
    probes: probesOf(PROBES),
    experiments: scriptedDesk(),
    confidence: {
      calibratedOn: () => [
        { name: "known-facts", kind: "choice", items: 104, deciders: [MEMBERS, [MEMBERS[0]], [MEMBERS[1]]] },
        { name: "known-facts, free", kind: "short_answer", items: 520, deciders: [MEMBERS] },
      ],
      report: async () => ({
        createdAt: NOW - 86_400_000,
        sets: [
          {
            name: "known-facts",
            rows: [confidenceRow("concord", 1), confidenceRow(MEMBERS[0], 2), confidenceRow(MEMBERS[1], 3)],
            sets: [0.8, 0.9, 0.95].map((level) => ({
              name: "concord",
              level,
              coverage: level + 0.01,
              size: 1.3,
              byChance: 0.04,
            })),
            disagreement: null,
          },
        ],
      }),
    },
  };
}

const HEALTH: EnsembleHealth = {
  quorum: 1,
  members: [
    { id: MEMBERS[0], state: "up", reason: null, restartsAt: null },
    { id: MEMBERS[1], state: "down", reason: "silent for 20 s", restartsAt: NOW + 4000 },
  ],
  decoder: { id: "decoder", state: "up", reason: null, restartsAt: null },
};

const PROBES: readonly ProbeSummary[] = [
  {
    name: "topic",
    version: 2,
    createdAt: NOW - 3_600_000,
    task: "classification",
    labels: ["music", "account", HOSTILE],
    members: ["bge-small-en-v1.5", "all-minilm-l6-v2"],
    space: "abc",
    depth: "deep",
    dimension: 256,
    ridge: 0.1,
    examples: 1200,
    metrics: {
      task: "classification",
      folds: 5,
      accuracy: 0.934,
      majority: 0.41,
      logLoss: 0.21,
      calibrationError: 0.018,
    },
    calibrations: [],
  },
  {
    name: "length",
    version: 1,
    createdAt: NOW - 7_200_000,
    task: "regression",
    labels: [],
    members: ["bge-small-en-v1.5"],
    space: "abc",
    depth: "middle",
    dimension: 256,
    ridge: 1,
    examples: 300,
    metrics: { task: "regression", folds: 5, r2: 0.71, rmse: 4.2 },
    calibrations: [],
  },
];

export function probesOf(list: readonly ProbeSummary[]): Probes {
  return {
    fit: refused,
    classify: refused,
    find: refused,
    add: refused,
    remove: refused,
    list: async () => list,
  };
}

/** One experiment that runs, over 919 pairs, whose state buttons change. */
export function scriptedDesk(): ExperimentDesk & { readonly moves: string[] } {
  const moves: string[] = [];
  let experiment: Experiment = {
    name: "ensemble-or-gemma",
    description: "Whether fusing answers more of PIQA right than the best member alone.",
    mode: "paired_shadow",
    state: "running",
    arms: [
      { name: "gemma", model: MEMBERS[1], weight: 0.5 },
      { name: "fused", model: "concord", weight: 0.5 },
    ],
    control: "gemma",
    unit: "request",
    metrics: [
      { name: "correct", kind: "boolean", bounds: null, better: "higher" },
      { name: "stars", kind: "number", bounds: null, better: "higher" },
    ],
    salt: "s",
    returned: "assigned",
    defaultFor: null,
    allocations: [{ from: NOW - 86_400_000, weights: { gemma: 0.5, fused: 0.5 } }],
    plan: { alpha: 0.05, units: 919, minimumEffect: 0.02 },
    createdAt: NOW - 90_000_000,
    startedAt: NOW - 86_400_000,
    stoppedAt: null,
    winner: null,
  };
  const find = async (name: string): Promise<Experiment> => {
    if (name === experiment.name) return experiment;
    throw new GatewayError("not_found", `There is no experiment '${name}'.`);
  };
  const move = async (verb: string, name: string, state: Experiment["state"]): Promise<Experiment> => {
    await find(name);
    moves.push(verb);
    experiment = { ...experiment, state };
    return experiment;
  };
  const counts = experiment.arms.map(({ name }, i): ArmCount => ({
    arm: name,
    allocation: 0,
    role: "returned",
    status: "answered",
    answers: 919,
    units: 459 + i,
  }));
  return {
    moves,
    list: async () => [experiment],
    find,
    counts: async () => counts,
    async analyse(_, metric) {
      const random = createRandom(5);
      const pairs = Array.from({ length: metric === "correct" ? 919 : 0 }, (__, i): Observation => {
        const difficulty = random.next();
        const values = {
          gemma: Number(difficulty < 0.669),
          fused: Number(random.next() < 0.2 ? random.next() < 0.8 : difficulty < 0.669),
        };
        return {
          sequence: i + 1,
          at: NOW - 86_400_000 + 90_000 * i,
          unit: `u${i}`,
          values,
          judged: 1,
          covariate: 0,
        };
      });
      const definition = experiment.metrics.find(({ name }) => name === metric) ?? experiment.metrics[0];
      return analyseExperiment(experiment, definition, pairs, counts);
    },
    start: (name) => move("start", name, "running"),
    pause: (name) => move("pause", name, "paused"),
    stop: (name, winner) => move(`stop ${winner}`, name, "stopped"),
  };
}

function verdicts(seed: number, n: number) {
  const random = createRandom(seed);
  return Array.from({ length: n }, () => {
    const confidence = 0.4 + 0.59 * random.next();
    return { confidence, correct: random.next() < confidence - 0.02 };
  });
}

function confidenceRow(name: string, seed: number): ConfidenceRow {
  const judged = verdicts(seed, 400);
  return {
    name,
    calibrated: true,
    items: judged.length,
    accuracy: judged.filter(({ correct }) => correct).length / judged.length,
    eceWidth: estimate(0.031),
    eceMass: estimate(0.03),
    eceByChance: 0.035,
    brier: 0.18,
    nll: 0.52,
    auroc: estimate(0.74),
    aurc: 0.12,
    bins: reliabilityBins(judged),
    riskCoverage: riskCoverage(judged),
  };
}

function estimate(value: number) {
  return { value, interval: { low: value - 0.02, high: value + 0.02 } };
}

async function refused(): Promise<never> {
  throw new Error("pages only list probes");
}

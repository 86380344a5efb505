import {
  fitSentenceSpace,
  projectSentences,
  type SentenceFitOptions,
  type SentenceSpace,
} from "../alignment/sentence-space.ts";
import { rowBlock } from "../linalg/matrix.ts";
import { createRandom, type Random } from "../linalg/random.ts";
import type { Clock } from "../ports/clock.ts";
import type { SpaceDepth } from "../ports/sentence-encoders.ts";
import { topVerdict, type Verdict } from "../stats/forecast.ts";
import { pairedBootstrap } from "../stats/paired-bootstrap.ts";
import { wilsonInterval, type Interval } from "../stats/proportion.ts";
import { auroc } from "../stats/ranking.ts";
import { calibrationErrorByChance, expectedCalibrationError } from "../stats/reliability.ts";
import { fitProbeHead, headProbabilities, meanStates, type ProbeHead } from "./probe-head.ts";

/** Labelled texts as all members see them. */
export interface ProbeEvaluation {
  readonly labels: readonly string[];
  /** The class (n) of each text. */
  readonly classes: readonly number[];
  /** Whether a text (n) is learned from; the others are for the numbers that are told. */
  readonly learned: readonly boolean[];
  readonly members: readonly string[];
  /** By depth, each member's own states, row-major (n, d_k). */
  readonly own: ReadonlyMap<SpaceDepth, readonly Float32Array[]>;
  readonly spaces: ReadonlyMap<SpaceDepth, SentenceSpace>;
  /** How the spaces were fitted: the control is fitted in the same way. */
  readonly fit: SentenceFitOptions;
  readonly seed: number;
  readonly clock: Clock;
  readonly onStep: (label: string) => void;
}

export interface ProbeAccuracy {
  readonly accuracy: number;
  /** 95 %. */
  readonly interval: Interval;
}

/** How far the confidence of a probe's most likely class can be trusted. */
export interface ProbeConfidence {
  /** Expected calibration error. */
  readonly ece: number;
  /** What it would be on average by chance alone, were every confidence exactly right. */
  readonly eceByChance: number;
  /** Of confidence against rightness. */
  readonly auroc: number;
}

export interface MemberProbe extends ProbeAccuracy {
  readonly id: string;
  readonly confidence: ProbeConfidence;
  /** Of a probe on the member's own states, which no other member can serve. */
  readonly own: ProbeAccuracy;
}

export interface TransferAccuracy extends ProbeAccuracy {
  readonly trained: string;
  readonly served: string;
}

export interface ProbeReport {
  readonly classes: number;
  readonly learned: number;
  readonly told: number;
  /** Accuracy of the class that is most frequent among what was learned from. */
  readonly majority: number;
  /** Each trained and served through itself. */
  readonly members: readonly MemberProbe[];
  /** The member with the highest cross-validated accuracy on what was learned from. */
  readonly best: string;
  readonly fused: ProbeAccuracy & {
    readonly confidence: ProbeConfidence;
    readonly depth: SpaceDepth;
    readonly ridge: number;
    readonly fitMs: number;
    /** Less the best member's, in the shared space. */
    readonly lessBest: { readonly difference: number; readonly interval: Interval };
    /** The mean's probe served through one member. */
    readonly through: readonly TransferAccuracy[];
  };
  /** Every ordered pair of members. */
  readonly transfer: readonly TransferAccuracy[];
  readonly transferMean: number;
  readonly transferLeast: number;
  /** A pair's accuracy over that of the serving member's own probe. */
  readonly ofNativeMean: number;
  readonly ofNativeLeast: number;
  /** Mean accuracy over the pairs where the space was fitted on pairs of texts that do not belong together. */
  readonly shuffled: number;
}

const RESAMPLES = 2000;
/** Of the name that stands for the mean of all members. */
const FUSED = "concord";

/** Learns every member's probe and the fused one, and tells how each does on texts that none has seen, through whom. */
export function evaluateProbes(evaluation: ProbeEvaluation): ProbeReport {
  const { classes, learned, members, own, spaces, labels, seed, clock, onStep } = evaluation;
  const toldRows = rowsWhere(learned, false);
  const truth = toldRows.map((row) => classes[row]!);
  const told = truth.length;
  const shared = projected(own, spaces);
  const random = createRandom(seed);
  const verdictsOf = (head: ProbeHead, states: Float32Array): Verdict[] =>
    verdicts(head, takeRows(states, head.dimension, toldRows), truth);
  const rightsOf = (head: ProbeHead, states: Float32Array): boolean[] =>
    verdictsOf(head, states).map(({ correct }) => correct);

  const through = (head: ProbeHead, trained: string, served: number): TransferAccuracy => {
    const { accuracy, interval } = accuracyOf(rightsOf(head, shared.get(head.depth)![served]!));
    return { trained, served: members[served]!, accuracy, interval };
  };

  const heads = members.map((id, m) => {
    onStep(`probe of ${id}`);
    return learn(evaluation, [id], ofMember(shared, m));
  });
  const natives = heads.map((head, m) => verdictsOf(head, shared.get(head.depth)![m]!));
  const memberRows = members.map((id, m): MemberProbe => {
    onStep(`probe of ${id}, its own states`);
    const states = standardised(own, spaces, m);
    const head = learn(evaluation, [id], states);
    return {
      id,
      ...accuracyOf(rightOf(natives[m]!)),
      confidence: confidenceOf(natives[m]!, random),
      own: accuracyOf(rightsOf(head, states.get(head.depth)![0]!)),
    };
  });

  onStep("fused probe");
  const started = clock.monotonic();
  const fusedHead = learn(evaluation, members, shared);
  const fitMs = clock.monotonic() - started;
  const fused = verdictsOf(fusedHead, meanStates(shared.get(fusedHead.depth)!));
  const best = bestOf(heads);
  const gains = fused.map(({ correct }, i) => Number(correct) - Number(natives[best]![i]!.correct));

  const transfer = pairs(members).map(([trained, served]) =>
    through(heads[trained]!, members[trained]!, served),
  );
  const ratios = pairs(members).map(
    ([, served], pair) => transfer[pair]!.accuracy / memberRows[served]!.accuracy,
  );
  onStep("control: pairs of texts shuffled");
  return {
    classes: labels.length,
    learned: classes.length - told,
    told,
    majority: majorityShare(evaluation, truth),
    members: memberRows,
    best: members[best]!,
    fused: {
      ...accuracyOf(rightOf(fused)),
      confidence: confidenceOf(fused, random),
      depth: fusedHead.depth,
      ridge: fusedHead.ridge,
      fitMs,
      lessBest: {
        difference: mean(gains),
        interval: pairedBootstrap(
          gains,
          gains.map(() => 1),
          { random: createRandom(seed), resamples: RESAMPLES },
        ),
      },
      through: members.map((_, m) => through(fusedHead, FUSED, m)),
    },
    transfer,
    transferMean: mean(transfer.map(({ accuracy }) => accuracy)),
    transferLeast: Math.min(...transfer.map(({ accuracy }) => accuracy)),
    ofNativeMean: mean(ratios),
    ofNativeLeast: Math.min(...ratios),
    shuffled: shuffledTransfer(evaluation, toldRows, truth),
  };
}

type StatesByDepth = ReadonlyMap<SpaceDepth, readonly Float32Array[]>;

/** A head from the rows that are learned from. */
function learn(
  { labels, classes, learned }: ProbeEvaluation,
  members: readonly string[],
  states: StatesByDepth,
): ProbeHead {
  const rows = rowsWhere(learned, true);
  const dimension = [...states.values()][0]![0]!.length / learned.length;
  const some = [...states].map(
    ([depth, blocks]) => [depth, blocks.map((block) => takeRows(block, dimension, rows))] as const,
  );
  return fitProbeHead({
    members,
    dimension,
    states: new Map(some),
    outcomes: { task: "classification", labels, classes: rows.map((row) => classes[row]!) },
    ridge: null,
  });
}

/**
 * The control. A space is fitted as the real one, on the texts that are learned from, but each member's rows stand in an
 * order of their own, so that no two members' rows are of one text: what then transfers is not the shared space's doing.
 */
function shuffledTransfer(
  evaluation: ProbeEvaluation,
  toldRows: readonly number[],
  truth: readonly number[],
): number {
  const { members, own, spaces, learned, fit, seed } = evaluation;
  const [depth] = [...spaces.keys()];
  const rows = rowsWhere(learned, true);
  const random = createRandom(seed);
  const blocks = members.map((id, m) => {
    const states = own.get(depth!)![m]!;
    const width = states.length / learned.length;
    const layer = spaces.get(depth!)!.maps.find((map) => map.id === id)!.layer;
    return { id, layer, width, states: takeRows(states, width, random.shuffle([...rows])) };
  });
  const space = fitSentenceSpace(blocks, fit);
  const states = projected(new Map([[depth!, own.get(depth!)!]]), new Map([[depth!, space]]));
  const heads = members.map((id, m) => learn(evaluation, [id], ofMember(states, m)));
  const accuracies = pairs(members).map(([trained, served]) => {
    const head = heads[trained]!;
    const seen = takeRows(states.get(depth!)![served]!, head.dimension, toldRows);
    return accuracyOf(rightOf(verdicts(head, seen, truth))).accuracy;
  });
  return mean(accuracies);
}

/** Shared states by depth, in the order of the members. */
function projected(own: StatesByDepth, spaces: ProbeEvaluation["spaces"]): StatesByDepth {
  return new Map(
    [...own].map(([depth, blocks]) => [
      depth,
      blocks.map((states, m) => projectSentences(spaces.get(depth)!.maps[m]!, states)),
    ]),
  );
}

/** A member's own states by depth, each number centred and over its deviation. */
function standardised(own: StatesByDepth, spaces: ProbeEvaluation["spaces"], m: number): StatesByDepth {
  return new Map(
    [...own].map(([depth, blocks]) => {
      const { mean: centre, scale } = spaces.get(depth)!.maps[m]!;
      const width = centre.length;
      return [depth, [blocks[m]!.map((x, at) => (x - centre[at % width]!) * scale[at % width]!)]];
    }),
  );
}

function ofMember(states: StatesByDepth, m: number): StatesByDepth {
  return new Map([...states].map(([depth, blocks]) => [depth, [blocks[m]!]]));
}

/** The head's most likely class of each state (n, r), calibrated as for those that it was learned through. */
function verdicts(head: ProbeHead, states: Float32Array, truth: readonly number[]): Verdict[] {
  const { probabilities } = headProbabilities(head, states, head.members);
  return truth.map((label, i) =>
    topVerdict({ probabilities: Array.from(rowBlock(probabilities, i, 1).data), label }),
  );
}

function rightOf(all: readonly Verdict[]): boolean[] {
  return all.map(({ correct }) => correct);
}

function confidenceOf(all: readonly Verdict[], random: Random): ProbeConfidence {
  return {
    ece: expectedCalibrationError(all),
    eceByChance: calibrationErrorByChance(all, random),
    auroc: auroc(all),
  };
}

function takeRows(states: Float32Array, width: number, rows: readonly number[]): Float32Array {
  const taken = new Float32Array(rows.length * width);
  for (const [to, from] of rows.entries())
    taken.set(states.subarray(from * width, (from + 1) * width), to * width);
  return taken;
}

function rowsWhere(learned: readonly boolean[], value: boolean): number[] {
  return learned.flatMap((own, row) => (own === value ? [row] : []));
}

function majorityShare({ labels, classes, learned }: ProbeEvaluation, truth: readonly number[]): number {
  const counts = labels.map((_, label) => classes.filter((own, i) => learned[i] && own === label).length);
  const most = counts.indexOf(Math.max(...counts));
  return truth.filter((label) => label === most).length / truth.length;
}

function bestOf(heads: readonly ProbeHead[]): number {
  const seen = heads.map(({ metrics }) => (metrics?.task === "classification" ? metrics.accuracy : 0));
  return seen.indexOf(Math.max(...seen));
}

function pairs(members: readonly string[]): (readonly [number, number])[] {
  return members.flatMap((_, a) => members.flatMap((__, b) => (a === b ? [] : [[a, b] as const])));
}

function accuracyOf(rights: readonly boolean[]): ProbeAccuracy {
  const right = rights.filter(Boolean).length;
  return { accuracy: right / rights.length, interval: wilsonInterval(right, rights.length) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

import type { ExperimentDefinition, Judgement, Observation } from "../ports/experiments.ts";

/**
 * Judgements as independent samples: one for each unit, since units are what was assigned, and what one user says twice is
 * no two users. In a split a unit's value is the mean of its judgements; in a pair those requests count of which both
 * answers are judged, and the unit has a mean for each arm. More judgements of a unit move its mean, not its place.
 * @param judgements in the order in which they were made
 */
export function observationsOf(
  { mode, arms }: Pick<ExperimentDefinition, "mode" | "arms">,
  judgements: readonly Judgement[],
): Observation[] {
  const samples = mode === "split" ? judgements.map(sampleOf) : pairsOf(judgements, arms.length);
  const units = new Map<string, Unit>();
  for (const { unit, at, values, covariate } of samples) {
    const known = units.get(unit) ?? { at, sums: new Map<string, Sum>(), judged: 0, covariate: 0 };
    for (const [arm, value] of values) addTo(known.sums, arm, value);
    known.judged++;
    known.covariate += covariate;
    units.set(unit, known);
  }
  return [...units].map(([unit, { at, sums, judged, covariate }], i): Observation => ({
    sequence: i + 1,
    at,
    unit,
    values: meansOf(sums),
    judged,
    covariate: covariate / judged,
  }));
}

interface Sample {
  readonly unit: string;
  readonly at: number;
  readonly values: readonly (readonly [arm: string, value: number])[];
  readonly covariate: number;
}

interface Sum {
  readonly sum: number;
  readonly count: number;
}

interface Unit {
  readonly at: number;
  readonly sums: Map<string, Sum>;
  judged: number;
  covariate: number;
}

function sampleOf({ unit, at, arm, value, promptCharacters }: Judgement): Sample {
  return { unit, at, values: [[arm, value]], covariate: Math.log1p(promptCharacters) };
}

/** One sample for each request of which all arms are judged, in the order in which they came to be. */
function pairsOf(judgements: readonly Judgement[], arms: number): Sample[] {
  const requests = new Map<string, Map<string, Sum>>();
  const complete = new Map<string, Judgement>();
  for (const judgement of judgements) {
    const { requestId, arm, value } = judgement;
    if (requestId === null) continue;
    const sums = requests.get(requestId) ?? new Map<string, Sum>();
    addTo(sums, arm, value);
    requests.set(requestId, sums);
    if (sums.size === arms && !complete.has(requestId)) complete.set(requestId, judgement);
  }
  return [...complete].map(([requestId, { unit, at, promptCharacters }]): Sample => ({
    unit,
    at,
    values: Object.entries(meansOf(requests.get(requestId) ?? new Map<string, Sum>())),
    covariate: Math.log1p(promptCharacters),
  }));
}

function addTo(sums: Map<string, Sum>, arm: string, value: number): void {
  const { sum, count } = sums.get(arm) ?? { sum: 0, count: 0 };
  sums.set(arm, { sum: sum + value, count: count + 1 });
}

function meansOf(sums: ReadonlyMap<string, Sum>): Record<string, number> {
  return Object.fromEntries([...sums].map(([arm, { sum, count }]) => [arm, sum / count]));
}

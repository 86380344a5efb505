import { watchLoad } from "./load.ts";
import type { BenchContext, Load, Reading, Row } from "./suite.ts";

/** One contender's part of every round. */
export interface Turn {
  readonly contender: string;
  /** Shown without a ratio. */
  readonly reference?: true | undefined;
  /** Measures once; a reading for each metric. @param round from 0 */
  run(round: number): Promise<readonly Reading[]>;
}

/**
 * Measures the contenders in turns, all once before any twice, so that what the machine does meanwhile meets all of
 * them; each round begins with the next contender. The first of the list is ours.
 */
export async function takeTurns(
  { rounds, progress, signal }: Pick<BenchContext, "rounds" | "progress" | "signal">,
  label: string,
  turns: readonly Turn[],
): Promise<Row[]> {
  const rows = new Map<string, { reading: Reading; byContender: Map<string, [number, Load][]> }>();
  progress.stage(label, rounds * turns.length, "steps");
  for (let round = 0; round < rounds; round++) {
    for (let position = 0; position < turns.length; position++) {
      const turn = turns[(round + position) % turns.length];
      if (turn === undefined) continue;
      signal.throwIfAborted();
      const loadSince = watchLoad();
      const readings = await turn.run(round);
      const load = loadSince();
      for (const reading of readings) {
        const row = rows.get(reading.what) ?? { reading, byContender: new Map() };
        rows.set(reading.what, row);
        const values = row.byContender.get(turn.contender) ?? [];
        row.byContender.set(turn.contender, [...values, [reading.value, load]]);
      }
      progress.update(round * turns.length + position + 1);
    }
  }
  progress.finish();
  return [...rows.values()].map(({ reading: { what, unit, better }, byContender }) => ({
    what,
    unit,
    better,
    samples: turns.flatMap(({ contender, reference }) => {
      const measured = byContender.get(contender);
      if (measured === undefined) return [];
      const [values, loads] = [measured.map(([value]) => value), measured.map(([, load]) => load)];
      return { contender, reference, values, loads };
    }),
  }));
}

/**
 * Adds a contender that two others make together, its values combined round by round; the row as it is where one of
 * them has no values.
 */
export function combined(
  row: Row,
  [first, second]: readonly [string, string],
  contender: string,
  combine: (a: number, b: number) => number,
): Row {
  const a = row.samples.find((samples) => samples.contender === first);
  const b = row.samples.find((samples) => samples.contender === second);
  if (a === undefined || b === undefined) return row;
  const values = a.values.map((value, round) => combine(value, b.values[round] ?? Number.NaN));
  return { ...row, samples: [...row.samples, { contender, values, loads: a.loads }] };
}

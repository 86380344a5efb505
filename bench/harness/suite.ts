import type { ProgressBar } from "../../adapters/node/progress-bar.ts";
import type { Children } from "./children.ts";

/** What a module of `bench/` exports: one set of measurements. */
export interface Suite {
  /** As it is asked for: `npm run bench -- NAME`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly description: string;
  run(context: BenchContext): Promise<SuiteResult>;
}

export interface BenchContext {
  /** A tiny run that shows that everything works; its figures mean nothing. */
  readonly quick: boolean;
  /** How often each contender is measured: at least 5, with `quick` 1. */
  readonly rounds: number;
  /** False: Concord alone is measured and nothing is installed. */
  readonly peers: boolean;
  readonly progress: ProgressBar;
  /** Aborted by Ctrl-C: measuring stops at the next step and every child process is ended. */
  readonly signal: AbortSignal;
  /** A folder of this run, removed after it. */
  readonly scratch: string;
  /** A folder that stays: installed peers, graphs. */
  readonly cache: string;
  /** Processes that are ended at the latest when the run is. */
  readonly children: Children;
}

/** One thing that is measured. */
export interface Metric {
  /** `decode, context 128, 8 streams` */
  readonly what: string;
  /** `tokens/s` */
  readonly unit: string;
  readonly better: "higher" | "lower";
}

/** One measured value. */
export interface Reading extends Metric {
  readonly value: number;
}

/** How much of the machine others used while something was measured. */
export interface Load {
  /** Cores that processes other than the run's kept busy; null where the system does not tell. */
  readonly othersCores: number | null;
  /** Share of the time that the host took from this machine, in [0, 1]; null where the system does not tell. */
  readonly steal: number | null;
}

/** What one contender came to, one value a round. */
export interface Samples {
  readonly contender: string;
  /** Shown beside the others and compared with none. */
  readonly reference?: true | undefined;
  readonly values: readonly number[];
  /** One for each value. */
  readonly loads: readonly Load[];
}

/** A line of the table: the first contender is ours, and ratios are ours ÷ another's. */
export interface Row extends Metric {
  readonly samples: readonly Samples[];
}

/** A figure that has to keep to a limit. */
export interface Claim {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly bound: "at least" | "at most";
}

export interface SuiteResult {
  readonly rows: readonly Row[];
  readonly claims: readonly Claim[];
  /** What a reader has to know: what each contender is, what was left out and why. */
  readonly notes: readonly string[];
  /** Of the contenders, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

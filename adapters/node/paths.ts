import { join, resolve } from "node:path";
import envPaths from "env-paths";

/** Where Concord keeps its files. */
export interface ConcordPaths {
  /** Weight files as they were downloaded, one folder per model. Can be had again. */
  readonly models: string;
  /** Graphs built from the weight files. Can be built again. */
  readonly graphs: string;
  /** Scores of closed choices, one file for items, map and weights. Can be scored again. */
  readonly scores: string;
  /** Fitted alignment maps. */
  readonly maps: string;
  /** The agreement log, a SQLite file. */
  readonly database: string;
  /** What the signals of answers were when all was well. Without it that is learned anew. */
  readonly watch: string;
  /** What was last found of confidences on questions kept apart. Can be found again. */
  readonly report: string;
}

/**
 * Everything lies under `CONCORD_HOME` when that is set; otherwise what can be had again lies in the platform's
 * cache folder and the rest in its data folder. Asking creates nothing.
 */
export function concordPaths(env: NodeJS.ProcessEnv = process.env): ConcordPaths {
  const home = env["CONCORD_HOME"];
  const platform = envPaths("concord", { suffix: "" });
  const cache = home ? resolve(home) : platform.cache;
  const data = home ? resolve(home) : platform.data;
  return {
    models: join(cache, "models"),
    graphs: join(cache, "graphs"),
    scores: join(cache, "scores"),
    maps: join(data, "maps"),
    database: join(data, "agreement.sqlite"),
    watch: join(data, "watch.json"),
    report: join(data, "confidence-report.json"),
  };
}

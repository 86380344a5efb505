import { createEngine } from "../../src/ensemble/engine.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { Engine } from "../../src/ports/engine.ts";
import { createSqliteAgreementLog } from "../sqlite/better-sqlite3.ts";
import { openDatabase } from "../sqlite/open-database.ts";
import { openConfidence } from "./open-confidence.ts";
import { openEnsemble } from "./open-ensemble.ts";
import type { OpenOptions } from "./open-members.ts";
import { concordPaths } from "./paths.ts";

export interface EngineOptions extends OpenOptions {
  /** Keep prompts and answers in the log. */
  readonly keepText: boolean;
}

export interface OpenEngine extends Engine {
  close(): Promise<void>;
}

/** The ensemble with its log on this machine. */
export async function openEngine(options: EngineOptions): Promise<OpenEngine> {
  // First, because it fails fast: a log that cannot be written must not be found out after minutes of loading.
  const log = createSqliteAgreementLog(openDatabase(concordPaths().database));
  try {
    const { ensemble, close } = await openEnsemble(options);
    try {
      const engine = createEngine({
        ensemble,
        log,
        clock: systemClock,
        keepText: options.keepText,
        confidence: (await openConfidence(ensemble)).book,
      });
      return {
        ...engine,
        close: async () => {
          await close();
          await log.close();
        },
      };
    } catch (error) {
      await close();
      throw error;
    }
  } catch (error) {
    await log.close();
    throw error;
  }
}

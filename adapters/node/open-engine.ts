import { createEngine } from "../../src/ensemble/engine.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { Engine } from "../../src/ports/engine.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import { createSqliteAgreementLog } from "../sqlite/better-sqlite3.ts";
import { openDatabase } from "../sqlite/open-database.ts";
import { openEnsemble } from "./open-ensemble.ts";
import type { OpenOptions } from "./open-members.ts";
import { concordPaths } from "./paths.ts";

export interface EngineOptions extends OpenOptions {
  /** Keep prompts and answers in the log. */
  readonly keepText: boolean;
}

export interface OpenEngine extends Engine {
  /** The language models that run. */
  readonly members: readonly LanguageModel[];
  close(): Promise<void>;
}

/** The ensemble with its log on this machine. */
export async function openEngine(options: EngineOptions): Promise<OpenEngine> {
  // First, because it fails fast: a log that cannot be written must not be found out after minutes of loading.
  const log = createSqliteAgreementLog(openDatabase(concordPaths().database));
  try {
    const { ensemble, close } = await openEnsemble(options);
    const engine = createEngine({ ensemble, log, clock: systemClock, keepText: options.keepText });
    return {
      ...engine,
      members: ensemble.members,
      close: async () => {
        await close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

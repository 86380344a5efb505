import { Command } from "commander";
import pc from "picocolors";
import { registerAskCommand } from "./commands/ask.ts";
import { registerCalibrateCommand } from "./commands/calibrate.ts";
import { registerReportCommand } from "./commands/report.ts";
import { registerCompareCommand } from "./commands/compare.ts";
import { registerEvaluateCommands } from "./commands/evaluate.ts";
import { registerExperimentCommand } from "./commands/experiment.ts";
import { registerFitCommand } from "./commands/fit.ts";
import { registerLogCommands } from "./commands/log.ts";
import { registerModelsCommands } from "./commands/models.ts";
import { registerServeCommand } from "./commands/serve.ts";
import { interruptedWith } from "./interruption.ts";
import { CONCORD_DESCRIPTION, CONCORD_VERSION } from "./version.ts";

const program = new Command("concord")
  .description(CONCORD_DESCRIPTION)
  .version(CONCORD_VERSION)
  // A subcommand's options are its own, whatever the commands above it call theirs.
  .enablePositionalOptions()
  .showHelpAfterError("(concord --help shows what there is)")
  .addHelpText(
    "after",
    `
Environment:
  CONCORD_HOME     where models, graphs, maps and the log are kept (default: the platform's cache and data folders)
  CONCORD_API_KEY  when set, requests under /v1 need it as a bearer token
  HOST, PORT       where the gateway listens (default: 127.0.0.1, 8787)

Examples:
  concord serve
  concord ask "Why is the sky blue?"
  concord log --limit 5`,
  );

// Usage errors leave with 2, failures with 1, an interruption with 130. Commands inherit this when they are made.
program.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

registerServeCommand(program);
registerAskCommand(program);
registerModelsCommands(program);
registerFitCommand(program);
registerEvaluateCommands(program);
registerCompareCommand(program);
registerCalibrateCommand(program);
registerReportCommand(program);
registerExperimentCommand(program);
registerLogCommands(program);

try {
  await program.parseAsync();
} catch (error) {
  const interrupted = interruptedWith();
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(interrupted === null ? `${pc.red("error:")} ${message}\n` : "interrupted\n");
  process.exitCode = interrupted ?? 1;
}

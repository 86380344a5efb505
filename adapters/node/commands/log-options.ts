import { InvalidArgumentError, Option, type Command } from "commander";
import { KEEP_EVERYTHING, type Retention } from "../../sqlite/upkeep.ts";
import { timeSpan } from "./moment.ts";

/** How the options of `addLogOptions` arrive. */
export interface LogOptions {
  readonly keepText?: boolean;
  readonly redact?: string;
  readonly keepFor?: number;
  readonly logSize?: number;
}

/** Adds what may be configured of what the log keeps. */
export function addLogOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--keep-text [yes|no]", "keep prompts and answers in the log")
        .env("CONCORD_KEEP_TEXT")
        .preset("yes")
        .argParser(yesOrNo),
    )
    .addOption(
      new Option(
        "--redact <what>",
        "take out of texts that are kept: email, card, iban, phone, ipv4 (with commas between), a .json file of patterns, or a module that exports redact",
      ).env("CONCORD_REDACT"),
    )
    .addOption(
      new Option("--keep-for <span>", "delete answers older than: 24h, 30d, 8w (default: never)")
        .env("CONCORD_KEEP_FOR")
        .argParser(timeSpan),
    )
    .addOption(
      new Option(
        "--log-size <size>",
        "delete the oldest answers where the log grows above: 500MB, 20GB (default: never)",
      )
        .env("CONCORD_LOG_SIZE")
        .argParser(byteSize),
    );
}

export function retentionOf({ keepFor, logSize }: LogOptions): Retention {
  return { ...KEEP_EVERYTHING, maxAgeMs: keepFor ?? null, maxBytes: logSize ?? null };
}

/** An environment variable that is there may say no. */
function yesOrNo(text: string): boolean {
  const spelled = text.trim().toLowerCase();
  if (["yes", "true", "on", "1"].includes(spelled)) return true;
  if (["no", "false", "off", "0", ""].includes(spelled)) return false;
  throw new InvalidArgumentError("Expected yes or no.");
}

const leastBytes = 10_000_000;

function byteSize(text: string): number {
  const [, count, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?) ?([MGT]B)$/i.exec(text.trim()) ?? [];
  const value = Math.round(Number(count) * 1000 ** (2 + "MGT".indexOf(unit.charAt(0).toUpperCase())));
  if (value >= leastBytes) return value;
  throw new InvalidArgumentError("Expected a size of 10MB at least: 500MB, 20GB, 1TB.");
}

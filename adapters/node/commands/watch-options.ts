import { InvalidArgumentError, Option, type Command } from "commander";
import type { WatchChoices } from "../open-watch.ts";
import { wholeNumber } from "./whole-number.ts";

/** How the options of `addWatchOptions` arrive. */
export interface WatchOptions {
  readonly webhookUrl?: URL;
  readonly falseAlarmEvery: number;
  readonly referenceAnswers: number;
  readonly similarityEvery: number;
}

/** Adds what may be configured of how answers are watched. */
export function addWatchOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--webhook-url <url>", "alerts on signals that move are posted there")
        .env("CONCORD_WEBHOOK_URL")
        .argParser(webUrl),
    )
    .addOption(
      new Option(
        "--false-alarm-every <answers>",
        "while nothing changes, at most one alert in so many answers",
      )
        .env("CONCORD_FALSE_ALARM_EVERY")
        .default(1_000_000)
        .argParser(atLeast(1000)),
    )
    .addOption(
      new Option("--reference-answers <count>", "the first answers, which later ones are held against")
        .env("CONCORD_REFERENCE_ANSWERS")
        .default(500)
        .argParser(referenceAnswers),
    )
    .addOption(
      new Option(
        "--similarity-every <answers>",
        "of so many answers one is read again to compare the members' layers; 0: none",
      )
        .env("CONCORD_SIMILARITY_EVERY")
        .default(16)
        .argParser(wholeNumber),
    );
}

/** The secret comes by the environment alone: options of a running process can be read by others. */
export function watchChoices(options: WatchOptions, env: NodeJS.ProcessEnv = process.env): WatchChoices {
  return {
    webhookUrl: options.webhookUrl,
    webhookSecret: env["CONCORD_WEBHOOK_SECRET"] || undefined,
    falseAlarmEvery: options.falseAlarmEvery,
    referenceLength: options.referenceAnswers,
    similarityEvery: options.similarityEvery,
  };
}

function webUrl(text: string): URL {
  if (/^https?:/.test(text) && URL.canParse(text)) {
    const url = new URL(text);
    if (url.username === "" && url.password === "") return url;
  }
  throw new InvalidArgumentError("Expected an address with http:// or https:// and no password in it.");
}

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text);
    if (value >= least) return value;
    throw new InvalidArgumentError(`Expected at least ${least}.`);
  };
}

function referenceAnswers(text: string): number {
  const value = wholeNumber(text);
  if (value >= 100 && value <= 100_000 && value % 5 === 0) return value;
  throw new InvalidArgumentError("Expected 100 to 100000 in whole fives.");
}

import { InvalidArgumentError, Option, type Command } from "commander";
import type { Normalisation } from "../../../src/ensemble/choice-ways.ts";
import type { ChoiceItem } from "../../../src/ensemble/option-tokens.ts";
import { wholeNumber } from "./whole-number.ts";

/** What every command over closed choices may be told. */
export interface ChoiceOptions {
  readonly normalise: Normalisation | "auto";
  readonly split: ChoiceItem["split"];
  readonly limit?: number;
  readonly resume?: string;
  readonly seed: number;
}

export function addChoiceOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--normalise <how>",
        "a choice's log-probability as it is, per byte, or as is better on the items to choose on",
      )
        .choices(["none", "bytes", "auto"])
        .default("auto"),
    )
    .addOption(
      new Option("--split <name>", "items to tell numbers of")
        .choices(["fit", "choose", "report"])
        .default("report"),
    )
    .option("--limit <number>", "at most so many items of a split, evenly over the file", countOfItems)
    .option(
      "--resume <file>",
      "keep scores in this file, and go on with those in it (default: in CONCORD_HOME)",
    )
    .option("--seed <number>", "of the bootstrap", wholeNumber, 1);
}

function countOfItems(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError("Expected a whole number from 1.");
  return value;
}

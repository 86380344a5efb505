import { InvalidArgumentError } from "commander";

/** An option's value as a whole number from 0. @throws InvalidArgumentError for anything else */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 0) {
    throw new InvalidArgumentError("Expected a whole number from 0.");
  }
  return value;
}

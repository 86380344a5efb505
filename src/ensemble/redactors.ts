import type { Redactor } from "./kept-text.ts";

/** What is taken out of a text that is kept, and what stands there instead. */
export interface RedactionRule {
  /** With the flag `g`. */
  readonly pattern: RegExp;
  /** As `String.replace` has it: `$1` is the first group. */
  readonly replacement: string | ((found: string) => string);
}

/** Takes out by each rule in turn. */
export function redactBy(rules: readonly RedactionRule[]): Redactor {
  return (text) =>
    rules.reduce(
      (left, { pattern, replacement }) =>
        typeof replacement === "string"
          ? left.replace(pattern, replacement)
          : left.replace(pattern, (found: string) => replacement(found)),
      text,
    );
}

/*
 * Every quantifier has a bound, so that no text takes longer than in proportion to its length. Where a number has a check
 * digit, it is taken out only where that is right: other long numbers stay.
 */
const rules = {
  email: {
    pattern: /[\p{L}\p{N}._%+-]{1,64}@[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){1,8}/gu,
    replacement: "[email]",
  },
  /** 13 to 19 digits, in groups or not, that pass Luhn's check. */
  card: {
    pattern: /(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)/g,
    replacement: (found) => (passesLuhn(found.replace(/\D/g, "")) ? "[card]" : found),
  },
  /** ISO 13616, in groups of four or not. */
  iban: {
    pattern: /(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}/g,
    replacement: (found) => redactIban(found),
  },
  /** In international form, with a plus. */
  phone: { pattern: /(?<![\p{L}\p{N}])\+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)/gu, replacement: "[phone]" },
  ipv4: {
    pattern: /(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)/g,
    replacement: (found) => (found.split(".").every((part) => Number(part) <= 255) ? "[ipv4]" : found),
  },
} satisfies Readonly<Record<string, RedactionRule>>;

export type RedactedKind = keyof typeof rules;

export const REDACTED_KINDS = Object.keys(rules) as readonly RedactedKind[];

export function ruleOf(kind: RedactedKind): RedactionRule {
  return rules[kind];
}

/** ISO/IEC 7812-1, annex B: from the right every second digit is doubled, and the digits' sum is a multiple of ten. */
function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const weighted = i % 2 === 0 ? digit : 2 * digit;
    sum += weighted > 9 ? weighted - 9 : weighted;
  }
  return sum % 10 === 0;
}

/** A following word in capitals looks like a further group: the longest beginning that passes is the number. */
function redactIban(found: string): string {
  const shortest = 15;
  for (let length = found.length; length >= shortest; length--) {
    const compact = found.slice(0, length).replaceAll(" ", "");
    if (
      found[length - 1] !== " " &&
      compact.length >= shortest &&
      compact.length <= 34 &&
      passesMod97(compact)
    ) {
      return `[iban]${found.slice(length)}`;
    }
  }
  return found;
}

/** ISO 7064: the first four characters at the end, letters as 10 to 35, the remainder by 97 is 1. */
function passesMod97(iban: string): boolean {
  const moved = `${iban.slice(4)}${iban.slice(0, 4)}`;
  let remainder = 0;
  for (const character of moved) {
    const value = Number.parseInt(character, 36);
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97;
  }
  return remainder === 1;
}

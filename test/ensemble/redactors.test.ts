import { assert as assertProperty, constantFrom, integer, property, string } from "fast-check";
import { expect, test } from "vitest";
import { redactBy, REDACTED_KINDS, ruleOf, type RedactedKind } from "../../src/ensemble/redactors.ts";

const all = redactBy(REDACTED_KINDS.map(ruleOf));
const only = (kind: RedactedKind) => redactBy([ruleOf(kind)]);

function luhnDigit(digits: string): number {
  const sum = [...digits].toReversed().reduce((total, digit, i) => {
    const weighted = i % 2 === 0 ? 2 * Number(digit) : Number(digit);
    return total + Math.floor(weighted / 10) + (weighted % 10);
  }, 0);
  return (10 - (sum % 10)) % 10;
}

test.each<readonly [RedactedKind, string, string]>([
  ["email", "Write to jörg.o'b+x@mail.example.co.uk, please.", "Write to jörg.o'[email], please."],
  ["email", "a@b is no address, a@b.c is", "a@b is no address, [email] is"],
  ["card", "4242 4242 4242 4242, 378282246310005 and 4242-4242-4242-4242.", "[card], [card] and [card]."],
  ["card", "4242 4242 4242 4241 fails the check", "4242 4242 4242 4241 fails the check"],
  ["card", "order 12345678901234567890123", "order 12345678901234567890123"],
  ["iban", "DE89 3704 0044 0532 0130 00 IS MINE", "[iban] IS MINE"],
  ["iban", "GB82WEST12345698765432.", "[iban]."],
  ["iban", "DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"],
  ["phone", "+49 (30) 901820 or 030 901820", "[phone] or 030 901820"],
  ["phone", "2+3456789", "2+3456789"],
  ["ipv4", "10.0.0.1:80, 300.1.1.1, version 1.2.3.4.5", "[ipv4]:80, 300.1.1.1, version 1.2.3.4.5"],
])("%s: %j is kept as %j", (kind, text, kept) => {
  expect(only(kind)(text)).toBe(kept);
});

test("a number with the right check digit is taken out wherever it stands, with the wrong one nowhere", () => {
  assertProperty(
    property(
      integer({ min: 1e14, max: 9e14 }),
      integer({ min: 1, max: 9 }),
      constantFrom("Pay ", "(", "№"),
      (body, off, before) => {
        const right = `${body}${luhnDigit(String(body))}`;
        const wrong = `${body}${(luhnDigit(String(body)) + off) % 10}`;
        expect(only("card")(`${before}${right} now`)).toBe(`${before}[card] now`);
        expect(only("card")(`${before}${wrong} now`)).toBe(`${before}${wrong} now`);
      },
    ),
  );
});

test("what was redacted once stays as it is", () => {
  assertProperty(
    property(string({ unit: constantFrom("a", "B", "1", "4", "@", ".", "+", " ", "-", "DE") }), (text) => {
      const once = all(text);
      expect(all(once ?? "")).toBe(once);
    }),
  );
});

test("long texts that look like the beginning of everything take time in proportion", () => {
  const started = performance.now();
  for (const part of ["a", "1", "1 ", "A1", "a.", "a@", "+1", "DE12 ", "1.1."]) all(part.repeat(100_000));
  // A search that looks at every pair of places would take hours.
  expect(performance.now() - started).toBeLessThan(30_000);
});

import type { MetadataValue } from "./gguf-header.ts";

/** Typed access to a weight file's metadata. Each getter throws when the key is missing or holds another type. */
export interface Metadata {
  has(key: string): boolean;
  string(key: string): string;
  /** 64-bit integers too, as long as they are exact. */
  number(key: string): number;
  /** `fallback` only where the key is missing. */
  numberOr(key: string, fallback: number): number;
  boolean(key: string): boolean;
  /** `fallback` only where the key is missing. */
  booleanOr(key: string, fallback: boolean): boolean;
  strings(key: string): readonly string[];
  numbers(key: string): readonly number[];
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (!Array.isArray(value)) return `a ${typeof value}`;
  return value.length === 0 ? "an empty array" : `an array of ${typeof value[0]}s`;
}

function asNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  const exact = typeof value === "bigint" && Number.isSafeInteger(Number(value));
  return exact ? Number(value) : undefined;
}

/** Wraps parsed metadata values. */
export function createMetadata(values: ReadonlyMap<string, MetadataValue>): Metadata {
  const expect = <T>(key: string, expected: string, value: T | undefined): T => {
    if (value !== undefined) return value;
    throw new TypeError(`metadata ${key}: expected ${expected}, got ${describe(values.get(key))}`);
  };
  const number = (key: string): number => expect(key, "a number below 2^53", asNumber(values.get(key)));
  const boolean = (key: string): boolean => {
    const value = values.get(key);
    return expect(key, "a boolean", typeof value === "boolean" ? value : undefined);
  };
  return {
    has: (key) => values.has(key),
    string(key) {
      const value = values.get(key);
      return expect(key, "a string", typeof value === "string" ? value : undefined);
    },
    number,
    numberOr: (key, fallback) => (values.has(key) ? number(key) : fallback),
    boolean,
    booleanOr: (key, fallback) => (values.has(key) ? boolean(key) : fallback),
    strings(key) {
      const value = values.get(key);
      const all = Array.isArray(value) && value.every((element) => typeof element === "string");
      return expect(key, "an array of strings", all ? value : undefined);
    },
    numbers(key) {
      const value = values.get(key);
      const all = Array.isArray(value) ? value.map(asNumber) : [undefined];
      return expect(
        key,
        "an array of numbers",
        all.every((element) => element !== undefined) ? all : undefined,
      );
    },
  };
}

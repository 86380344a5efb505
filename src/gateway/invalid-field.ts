import type * as z from "zod";
import { GatewayError } from "../ports/gateway-error.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * Reads `fields` by `schema`.
 * Every message in the schemas is a noun phrase, what the field should be: `"a number from 0 to 2"`.
 * @throws GatewayError invalid_request with one plain sentence about the first fault
 */
export function readFields<T>(schema: z.ZodType<T>, fields: Readonly<Record<string, unknown>>): T {
  const result = schema.safeParse(fields);
  if (result.success) return result.data;
  const [first] = result.error.issues;
  if (first === undefined) throw new Error("a schema refused a request without naming a fault");
  throw invalidField(innermost(first, []), fields);
}

interface Fault {
  readonly path: Path;
  readonly issue: Issue;
}

/** Of a union's branches, the one that read furthest is what the client meant. */
function innermost(issue: Issue, base: Path): Fault {
  const path = [...base, ...issue.path];
  if (issue.code !== "invalid_union") return { path, issue };
  const faults = issue.errors.flatMap((branch) => branch.slice(0, 1).map((inner) => innermost(inner, path)));
  const deepest = faults.reduce<Fault | null>(
    (best, fault) => (fault.path.length > (best?.path.length ?? path.length) ? fault : best),
    null,
  );
  return deepest ?? { path, issue };
}

function invalidField({ path, issue }: Fault, fields: unknown): GatewayError {
  if (issue.code === "unrecognized_keys") {
    const param = fieldName([...path, issue.keys[0] ?? ""]);
    return new GatewayError("invalid_request", `Unrecognized request argument: ${param}. Remove it.`, {
      param,
    });
  }
  const param = fieldName(path);
  if (issue.code === "invalid_key") {
    const key = String(path.at(-1));
    const expected = issue.issues[0]?.message ?? issue.message;
    const parent = fieldName(path.slice(0, -1));
    const message = `${parent}: expected every key to be ${expected}, got ${describe(key)}.`;
    return new GatewayError("invalid_request", message, { param: parent });
  }
  const value = valueAt(fields, path);
  const message =
    value === undefined
      ? `${param} is missing: expected ${issue.message}.`
      : `${param}: expected ${issue.message}, got ${describe(value)}.`;
  return new GatewayError("invalid_request", message, { param });
}

/** `["messages", 0, "content"]` as OpenAI writes it: `messages[0].content`. */
function fieldName(path: Path): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    const key = shorten(String(part));
    return name === "" ? key : `${name}.${key}`;
  }, "");
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, part) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, part) : undefined),
    value,
  );
}

const SHOWN_CHARACTERS = 40;

/** A value as a person would name it, short. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(shorten(value));
}

function shorten(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileBytes } from "../../adapters/node/file-bytes.ts";
import { openGguf, type WeightFile } from "../../src/weights/gguf.ts";
import { weightFile } from "../installed-models.ts";

interface Reference {
  readonly types: Readonly<Record<string, number>>;
  readonly scalars: Readonly<Record<string, number>>;
  readonly tokens: { readonly count: number; readonly sha256: string };
  readonly tensors: Readonly<Record<string, { type: string; shape: readonly number[]; sha256: string }>>;
  readonly embedding: { readonly first: number; readonly count: number; readonly sha256: string };
}

const golden = JSON.parse(
  readFileSync(new URL("../golden/weight-files.json", import.meta.url), "utf8"),
) as Record<string, Reference>;

function sha256(data: string | Float32Array): string {
  const bytes =
    typeof data === "string" ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return createHash("sha256").update(bytes).digest("hex");
}

describe.each(Object.entries(golden))("%s reads as gguf-py reads it", (id, reference) => {
  let file: WeightFile;
  let close: () => Promise<void>;
  beforeAll(async () => {
    const source = await openFileBytes(weightFile(id));
    close = () => source.close();
    file = await openGguf(source);
  });
  afterAll(() => close());

  test("as many tensors of each type", () => {
    const types: Record<string, number> = {};
    for (const { type } of file.tensors.values()) types[type] = (types[type] ?? 0) + 1;
    expect(types).toEqual(reference.types);
  });

  test("the same metadata", () => {
    for (const [key, value] of Object.entries(reference.scalars))
      expect(file.metadata.number(key)).toBe(value);
    const tokens = file.metadata.strings("tokenizer.ggml.tokens");
    expect(tokens.length).toBe(reference.tokens.count);
    expect(sha256(tokens.join("\n"))).toBe(reference.tokens.sha256);
  });

  test("the same values, bit for bit, in a tensor of each type", async () => {
    for (const [name, { type, shape, sha256: hash }] of Object.entries(reference.tensors)) {
      expect(file.tensors.get(name)).toMatchObject({ type, shape });
      expect(sha256(await file.tensor(name))).toBe(hash);
    }
  });

  test("the same rows out of the embedding table", async () => {
    const { first, count, sha256: hash } = reference.embedding;
    expect(sha256(await file.rows("token_embd.weight", first, count))).toBe(hash);
  });
});

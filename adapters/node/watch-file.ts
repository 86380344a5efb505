import { readFile } from "node:fs/promises";
import { z } from "zod";
import { decodeFloat32s, encodeFloat32s } from "../../src/gateway/float32-base64.ts";
import { tappedLayers } from "../../src/ensemble/passage-states.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import type { LayerScales } from "../../src/watch/live-similarity.ts";
import type { WatchState } from "../../src/watch/watch.ts";
import { exists } from "./exists.ts";
import { writeWhole } from "./write-whole.ts";

const FEWEST_VALUES = 30;

const values = z.array(z.number()).max(1_000_000).readonly();
const signalState = z
  .strictObject({ phase: z.enum(["learning", "watching", "raised"]), reference: values, recent: values })
  .refine(
    ({ phase, reference }) => phase === "learning" || reference.length >= FEWEST_VALUES,
    `a reference needs ${FEWEST_VALUES} values`,
  );
const features = z.string().transform((text, context) => {
  const numbers = decodeFloat32s(text);
  if (numbers !== null) return Float64Array.from(numbers);
  context.addIssue("expected float32 in base64");
  return z.NEVER;
});
const watchFile = z.strictObject({
  version: z.literal(1),
  /** Whose layers the scales are of. */
  weights: z.array(z.string()),
  drift: z.record(z.string(), signalState),
  scales: z.array(z.array(z.strictObject({ mean: features, deviation: features }))).nullable(),
});

/**
 * What a watch learned before; null where there is no file. The scales of layers are left out where they are of other
 * weights. @throws Error when the file is something else
 */
export async function readWatch(path: string, members: readonly ModelInfo[]): Promise<WatchState | null> {
  if (!(await exists(path))) return null;
  const parsed = watchFile.safeParse(parseJson(await readFile(path, "utf8")));
  if (!parsed.success) {
    throw new Error(
      `${path}: expected what Concord has learned of its signals, got something else; delete it`,
      {
        cause: parsed.error,
      },
    );
  }
  const { weights, drift, scales } = parsed.data;
  const same = members.every(({ weightsHash }, m) => weights[m] === weightsHash);
  return { drift, scales: same && scales !== null && fit(scales, members) ? scales : null };
}

/** The numbers of the signals as they are, those of the layers in single precision. */
export async function writeWatch(
  path: string,
  members: readonly ModelInfo[],
  { drift, scales }: WatchState,
): Promise<void> {
  const content: z.input<typeof watchFile> = {
    version: 1,
    weights: members.map(({ weightsHash }) => weightsHash),
    drift,
    scales:
      scales?.map((own) =>
        own.map(({ mean, deviation }) => ({ mean: encode(mean), deviation: encode(deviation) })),
      ) ?? null,
  };
  await writeWhole(path, `${JSON.stringify(content)}\n`);
}

const encode = (numbers: Float64Array): string => encodeFloat32s(Float32Array.from(numbers));

function fit(scales: LayerScales, members: readonly ModelInfo[]): boolean {
  return members.every((info, m) => {
    const own = scales[m] ?? [];
    const wide = own.every(
      ({ mean, deviation }) => mean.length === info.width && deviation.length === info.width,
    );
    return wide && own.length === tappedLayers(info).length;
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

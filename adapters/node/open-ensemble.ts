import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decoderRowCount } from "../../src/alignment/shared-space.ts";
import { decoderMatrix } from "../../src/alignment/decoder-matrix.ts";
import { decoderRows } from "../../src/ensemble/decoder-rows.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { createSupervisedDecoder } from "../../src/ensemble/supervised-member.ts";
import type { EnsembleHealth } from "../../src/ports/health.ts";
import { exists } from "./exists.ts";
import { fusionHash, fusionRecipe } from "./fusion-recipe.ts";
import { decoderGraph, fusionGraph } from "./graph-cache.ts";
import { createOnnxDecoder, type FusionFiles } from "./onnx-member.ts";
import { createOnnxProduct } from "./onnx-product.ts";
import { openMembers, type OpenMembers, type OpenOptions } from "./open-members.ts";
import { concordPaths } from "./paths.ts";
import { superviseBy } from "./supervision.ts";
import { checkMembers, decoderHash, readSpace, type SpaceRecord } from "./space-file.ts";

const DECODER = "the shared decoder";

/** The map that comes with Concord, for the members that the manifest names. */
export const SHIPPED_SPACE = fileURLToPath(new URL("../../data/maps/default.safetensors", import.meta.url));

/** The map that `concord fit` writes; where there is one it is used instead. */
export function fittedSpacePath(): string {
  return join(concordPaths().maps, "space.safetensors");
}

export interface OpenEnsemble {
  readonly ensemble: Ensemble;
  health(): Omit<EnsembleHealth, "quorum">;
  close(): Promise<void>;
}

export interface FittedEnsemble extends OpenEnsemble {
  /** Its members, which other ensembles may share. */
  readonly running: OpenMembers;
  /** How its map came about. */
  readonly record: SpaceRecord;
}

/** Members, their shared space and its decoder, ready to answer. @throws Error when the map does not fit the members */
export async function openEnsemble(options: OpenOptions): Promise<FittedEnsemble> {
  const opened = await openMembers(options);
  try {
    const own = fittedSpacePath();
    const path = (await exists(own)) ? own : SHIPPED_SPACE;
    const { space, record } = await readSpace(path);
    checkMembers(
      path,
      record,
      opened.members.map(({ model }) => model.info),
    );
    const joined = await joinMembers(opened, { space, routes: record.routes }, options);
    return {
      ...joined,
      running: opened,
      record,
      close: async () => {
        await Promise.all([joined.close(), opened.close()]);
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** An ensemble of running members over a space; its decoder is built unless it is there. Closing it leaves the members open. */
export async function joinMembers(
  { members, health }: OpenMembers,
  { space, routes }: Pick<Ensemble, "space" | "routes">,
  { progress, ...options }: OpenOptions,
): Promise<OpenEnsemble> {
  const [anchor, ...others] = members.map(({ model }) => model);
  if (anchor === undefined) throw new Error("no members are configured");
  const key = decoderHash(
    space,
    [anchor, ...others].map(({ info }) => info),
  );
  let matrix: Promise<Float32Array> | null = null;
  const loadMatrix = async (): Promise<Float32Array> => {
    const [, ...followers] = space.members;
    const tables = await decoderRows(
      members,
      followers.map(({ own }) => own.ids),
    );
    const rows = tables.map((table) => table.rows);
    return decoderMatrix(space, rows, await createOnnxProduct());
  };
  const { graphs: directory } = concordPaths();
  const files = await decoderGraph({
    directory,
    key,
    label: DECODER,
    progress,
    load: async () => {
      const decoded = await (matrix ??= loadMatrix());
      const { dimension: width } = space;
      return {
        vocabularySize: decoderRowCount(space),
        width,
        bias: null,
        rows: (first, count) => decoded.subarray(first * width, (first + count) * width),
      };
    },
  });
  const special = [...anchor.tokenizer.specialTokens];
  const graph = await fusionGraph({
    directory,
    key: fusionHash(space, key, special),
    label: "the fusion",
    progress,
    provider: options.provider,
    load: async () =>
      fusionRecipe(space, await (matrix ??= loadMatrix()), special, await createOnnxProduct()),
  });
  const { vocabularySize, dimension, gates } = space;
  const widths = space.members.map(({ width }) => width);
  const fusion: FusionFiles = { shape: { graph, widths, vocabularySize, dimension }, gates };
  const decoder = await createSupervisedDecoder({
    id: DECODER,
    start: (signal) =>
      createOnnxDecoder({ name: DECODER, files, fusion, provider: options.provider, signal }),
    ...superviseBy(options),
  });
  const continuations = members.map((member) => member.continuations);
  return {
    ensemble: { members: [anchor, ...others], space, decoder, fusion: decoder.fusion, continuations, routes },
    health: () => ({ members: health(), decoder: decoder.health }),
    close: () => decoder.close(),
  };
}

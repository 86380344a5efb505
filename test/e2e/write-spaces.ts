import { poolGate } from "../../src/alignment/gate.ts";
import { noOwnTokens } from "../scripted-fit.ts";
import { SPACE_VERSION, writeSpace, type SpaceRecord } from "../../adapters/node/space-file.ts";

/** Writes one map after the other to the same path until it is killed; says so after the first. */

const [path = ""] = process.argv.slice(2);
const width = 64;
const dimension = 512;
const record: SpaceRecord = {
  version: SPACE_VERSION,
  dimension,
  seed: 1,
  eigenvalueFloor: 1e-6,
  members: [{ id: "a", weightsHash: "0", width, weight: 1, ownTokens: 0 }],
  gates: { text: poolGate(1), chat: poolGate(1) },
  corpus: {
    name: "none",
    sha256: "0",
    fitDocuments: 0,
    fitTokens: 0,
    refinedPositions: 0,
    chooseDocuments: 0,
    choosePositions: 0,
    reportDocuments: 0,
  },
  routes: [],
  explainedVariance: 1,
  heldOut: [],
};

for (let value = 0; ; value = (value + 1) % 1000) {
  const matrix = new Float32Array(width * dimension).fill(value);
  const member = {
    id: "a",
    width,
    projection: matrix,
    factor: matrix,
    offset: new Float32Array(dimension),
    rowBias: new Float32Array(100_000),
    weight: 1,
    own: noOwnTokens(100_000),
  };
  const space = {
    dimension,
    vocabularySize: 100_000,
    decoderCentre: new Float32Array(dimension),
    members: [member],
    gates: record.gates,
  };
  await writeSpace(path, space, record);
  if (value === 0) process.stdout.write("written\n");
}

import { nearestFloat16 } from "../../../src/weights/float16.ts";

/*
 * y = x Wᵀ of rows x in float32 and a matrix W in blocks of 32 columns, both sides in whole numbers q and c:
 *   y_n = Σ_b s_nb t_b Σ_{i in b} q_ni c_i + m_nb t_b Σ_{i in b} c_i, with w = s q + m and x ≈ t c in blocks b.
 * q has 4 or 5 bits, or 8, where m is always −128 s. This is how both lie in memory.
 */

/** Weights and activations of a block share a scale. */
export const BLOCK = 32;
/** Outputs that are computed together. */
export const TILE = 32;
/** Bits of a weight's code. */
export type Bits = 4 | 5 | 8;

/**
 * Where in a block of a tile lies what, bytes. Codes are by fours of the columns (8, 32, 4); of 4 and 5 bits, the first
 * four of these share their bytes with the last four, and fifth bits follow, one for each byte of what is computed
 * together, in the order in which that is done. Scales and minima are halves, or of 8 bits float32 and none.
 */
export const LAYOUTS = {
  4: { fifths: 512, scales: 512, minima: 576, bytes: 640 },
  5: { fifths: 512, scales: 640, minima: 704, bytes: 768 },
  8: { fifths: 1024, scales: 1024, minima: 1152, bytes: 1152 },
} as const;

/** Bytes of a block of a tile. */
export function tileBlockBytes(bits: Bits): number {
  return LAYOUTS[bits].bytes;
}

/** Columns of a block by fours. */
export const FOURS = BLOCK / 4;
/** Rows that are quantised before they are multiplied. */
export const PANEL_ROWS = 256;
/** A row's block of activations: 32 codes c, t, −128 Σ c as a whole number, and t Σ c. */
export const RECORD_BYTES = BLOCK + 12;
export const RECORD = { codes: 0, scale: BLOCK, start: BLOCK + 4, mass: BLOCK + 8 } as const;

/** Where a product's numbers lie behind its address, each in 64 bits. */
export const PRODUCT = {
  /** Rows packed by `packTiles`. */
  weights: 0,
  blocks: 8,
  /** N, in bytes of float32. */
  rowBytes: 16,
  tiles: 24,
  /** Bytes of a tile. */
  tileBytes: 32,
  /** N − TILE, in bytes of float32: where the last tile begins. */
  lastTileAt: 40,
  /** Memory for the activations' codes of PANEL_ROWS rows. */
  codes: 48,
  /** These change from call to call: x and y of the panel and its rows, */
  x: 56,
  y: 64,
  rows: 72,
  /** and how it is divided: groups, the last of which may overlap the one before, their rows, and bytes of their records. */
  groups: 80,
  groupRows: 88,
  recordsBytes: 96,
  /** Tiles that one call multiplies. */
  tilesAtOnce: 104,
} as const;
export const PRODUCT_BYTES = 112;

/** Vectors of four columns' codes: of either half of a tile, and with few bits of those that share their bytes. */
const CODE_VECTORS = 4;

/** A matrix (N, K) in blocks of columns: codes (N, K), scales and minima (N, K / 32), all row-major. */
export interface CodedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bits: Bits;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  /** Null with 8 bits: −128 times the scales. */
  readonly minima: Float32Array | null;
}

/**
 * A matrix to tiles of 32 rows and, within, blocks of 32 columns. The last tile begins at row N − 32, within the one before
 * where N is no multiple of 32. @param into zeros
 */
export function packTiles(
  { rows, columns, bits, codes, scales, minima }: CodedMatrix,
  into: Float32Array,
): void {
  const blocks = columns / BLOCK;
  const layout = LAYOUTS[bits];
  const fours = new Uint32Array(codes.buffer, codes.byteOffset, codes.length / 4);
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  const halves = new Uint16Array(into.buffer, into.byteOffset, 2 * into.length);
  const bytes = new Uint8Array(into.buffer, into.byteOffset, 4 * into.length);
  let place = 0;
  for (let tile = 0; tile < tilesOf(rows); tile++) {
    const first = Math.min(tile * TILE, rows - TILE);
    for (let block = 0; block < blocks; block++) {
      for (let r = 0; r < TILE; r++) {
        const of = (first + r) * blocks + block;
        if (bits === 8) {
          for (let four = 0; four < FOURS; four++) {
            words[place / 4 + TILE * four + r] = fours[of * FOURS + four]!;
          }
          into[(place + layout.scales) / 4 + r] = scales[of]!;
          continue;
        }
        for (let four = 0; four < FOURS / 2; four++) {
          const [low, high] = [fours[of * FOURS + four]!, fours[of * FOURS + four + FOURS / 2]!];
          words[place / 4 + TILE * four + r] = (low & 0x0f_0f_0f_0f) | ((high & 0x0f_0f_0f_0f) << 4);
          if (bits === 4) continue;
          // A bit for each byte of the four vectors: low and high codes, of 16 rows each.
          const at5 = place + layout.fifths + 8 * CODE_VECTORS * four + 8 * (r >> 4) + ((r & 15) >> 1);
          bytes[at5]! |= fifthBits(low) << (4 * (r & 1));
          bytes[at5 + 16]! |= fifthBits(high) << (4 * (r & 1));
        }
        halves[(place + layout.scales) / 2 + r] = nearestFloat16(scales[of]!);
        halves[(place + layout.minima) / 2 + r] = nearestFloat16(minima![of]!);
      }
      place += layout.bytes;
    }
  }
}

/** Of four codes, the first one's lowest. */
function fifthBits(codes: number): number {
  const bits = (codes >>> 4) & 0x01_01_01_01;
  return (bits | (bits >>> 7) | (bits >>> 14) | (bits >>> 21)) & 15;
}

export function tilesOf(rows: number): number {
  return Math.ceil(rows / TILE);
}

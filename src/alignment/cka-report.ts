import { type Matrix, shape } from "../linalg/matrix.ts";
import { RAMP_INKS, rampColour, rampInk } from "../charts/colour-ramp.ts";
import { escapeXml } from "../charts/escape-xml.ts";

/** One axis of a CKA map: a member and the layers that were compared. */
export interface CkaAxis {
  /** The member's name. */
  readonly name: string;
  /** Layers in the order of the matrix's rows or columns; 0 is the embeddings. */
  readonly layers: readonly number[];
  /** L: number of blocks, which makes a layer's relative depth l / L. */
  readonly depth: number;
}

/** A CKA matrix (rows, columns) with what its axes mean. */
export interface CkaMap {
  readonly title: string;
  /** One sentence: data, number of rows compared, estimator. */
  readonly description: string;
  readonly rows: CkaAxis;
  readonly columns: CkaAxis;
  readonly values: Matrix;
}

const CELL_WIDTH = 46;
const CELL_HEIGHT = 30;
const LEFT = 120;
const TOP = 110;
const RIGHT = 84;
const BOTTOM = 28;
/** Width to allow for a character of the 11 px text. */
const CHARACTER = 6.4;
/**
 * A plain-text table: one line a row layer, one column a column layer, two decimals.
 * @throws RangeError when the axes do not fit the matrix
 */
export function ckaTable(map: CkaMap): string {
  checkAxes(map);
  const { rows, columns, values } = map;
  const head = rows.layers.map((layer) => axisLabel(layer, rows.depth));
  const width = Math.max(...head.map((label) => label.length));
  const header = columns.layers.map((layer) => axisLabel(layer, columns.depth).padStart(10)).join("");
  const lines = head.map((label, i) => {
    const numbers = columns.layers.map((_, j) =>
      valueLabel(values.data[i * values.columns + j]!).padStart(10),
    );
    return `${label.padStart(width)}${numbers.join("")}`;
  });
  return [
    map.title,
    map.description,
    `rows: ${rows.name}, columns: ${columns.name}; layer, relative depth in brackets`,
    "",
    `${" ".repeat(width)}${header}`,
    ...lines,
    "",
  ].join("\n");
}

/**
 * The same as a standalone SVG heat map with the number in each cell, light or dark with the reader's setting.
 * Colours run from 0 to 1; a number outside is drawn as the nearer end.
 * @throws RangeError when the axes do not fit the matrix
 */
export function ckaHeatMap(map: CkaMap): string {
  checkAxes(map);
  const { rows, columns } = map;
  const bodyWidth = columns.layers.length * CELL_WIDTH;
  const bodyHeight = rows.layers.length * CELL_HEIGHT;
  const textWidth = 32 + CHARACTER * Math.max(map.description.length, 1.35 * map.title.length);
  const width = Math.ceil(Math.max(LEFT + bodyWidth + RIGHT, textWidth));
  const height = Math.ceil(TOP + Math.max(bodyHeight, CHARACTER * rows.name.length) + BOTTOM);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title id="title">${escapeXml(map.title)}</title>`,
    `<desc id="desc">${escapeXml(map.description)}</desc>`,
    style(),
    `<rect class="paper" width="${width}" height="${height}" rx="8"/>`,
    `<text class="strong" x="16" y="26">${escapeXml(map.title)}</text>`,
    `<text class="faint" x="16" y="45">${escapeXml(map.description)}</text>`,
    columnLabels(columns),
    rowLabels(rows, bodyHeight),
    cells(map),
    legend(LEFT + bodyWidth + 20, bodyHeight),
    "</svg>",
    "",
  ].join("\n");
}

function style(): string {
  return [
    "<style>",
    "text{font:11px system-ui,sans-serif;fill:#1f2328}",
    ".strong{font-size:14px;font-weight:600}.faint{fill:#59636e}.middle{text-anchor:middle}.end{text-anchor:end}",
    `.paper{fill:#ffffff}.value{text-anchor:middle;font-variant-numeric:tabular-nums}text.dark{fill:${RAMP_INKS.dark}}text.light{fill:${RAMP_INKS.light}}`,
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.paper{fill:#0d1117}}",
    "</style>",
  ].join("\n");
}

function columnLabels({ name, layers, depth }: CkaAxis): string {
  const middle = LEFT + (layers.length * CELL_WIDTH) / 2;
  const labels = layers.map((layer, j) => {
    const x = LEFT + (j + 0.5) * CELL_WIDTH;
    return `<text class="middle" x="${x}" y="${TOP - 19}">${layer}</text><text class="faint middle" x="${x}" y="${TOP - 6}">${depthLabel(layer, depth)}</text>`;
  });
  return [`<text class="middle" x="${middle}" y="${TOP - 36}">${escapeXml(name)}</text>`, ...labels].join(
    "\n",
  );
}

function rowLabels({ name, layers, depth }: CkaAxis, bodyHeight: number): string {
  const middle = TOP + Math.max(bodyHeight, CHARACTER * name.length) / 2;
  const labels = layers.map((layer, i) => {
    const y = TOP + (i + 0.5) * CELL_HEIGHT + 4;
    return `<text class="end" x="${LEFT - 40}" y="${y}">${layer}</text><text class="faint end" x="${LEFT - 8}" y="${y}">${depthLabel(layer, depth)}</text>`;
  });
  const title = `<text class="middle" transform="translate(28 ${middle}) rotate(-90)">${escapeXml(name)}</text>`;
  return [title, ...labels].join("\n");
}

function cells({ rows, columns, values }: CkaMap): string {
  const parts: string[] = [];
  for (const [i, rowLayer] of rows.layers.entries()) {
    for (const [j, columnLayer] of columns.layers.entries()) {
      const value = values.data[i * values.columns + j]!;
      const x = LEFT + j * CELL_WIDTH;
      const y = TOP + i * CELL_HEIGHT;
      const ink = rampInk(value);
      parts.push(
        `<g><title>${escapeXml(`${rows.name} ${rowLayer}, ${columns.name} ${columnLayer}: ${value.toFixed(3)}`)}</title>` +
          `<rect x="${x}" y="${y}" width="${CELL_WIDTH - 1}" height="${CELL_HEIGHT - 1}" rx="2" fill="${rampColour(value)}"/>` +
          `<text class="value ${ink}" x="${x + (CELL_WIDTH - 1) / 2}" y="${y + CELL_HEIGHT / 2 + 4}">${valueLabel(value)}</text></g>`,
      );
    }
  }
  return parts.join("\n");
}

function legend(x: number, bodyHeight: number): string {
  const stops = [0, 0.25, 0.5, 0.75, 1].map((at) => `<stop offset="${at}" stop-color="${rampColour(at)}"/>`);
  const ticks = [0, 0.5, 1].map(
    (value) => `<text class="faint" x="${x + 18}" y="${TOP + bodyHeight * (1 - value) + 4}">${value}</text>`,
  );
  return [
    `<defs><linearGradient id="ramp" x1="0" y1="1" x2="0" y2="0">${stops.join("")}</linearGradient></defs>`,
    `<rect x="${x}" y="${TOP}" width="12" height="${bodyHeight}" rx="2" fill="url(#ramp)"/>`,
    ...ticks,
  ].join("\n");
}

function checkAxes({ rows, columns, values }: CkaMap): void {
  if (rows.layers.length !== values.rows || columns.layers.length !== values.columns) {
    throw new RangeError(
      `CKA map: ${rows.layers.length} row and ${columns.layers.length} column layers do not fit the matrix ${shape(values)}`,
    );
  }
}

function axisLabel(layer: number, depth: number): string {
  return `${layer} (${depthLabel(layer, depth)})`;
}

/** Relative depth without its leading zero: `.50`. */
function depthLabel(layer: number, depth: number): string {
  return valueLabel(layer / depth);
}

/** `.71`, `1.00`, `−.02`. */
function valueLabel(value: number): string {
  const rounded = value.toFixed(2);
  if (rounded === "-0.00") return ".00";
  return rounded.replace(/^(-?)0\./, "$1.").replace("-", "−");
}

/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { raw } from "hono/html";
import { rampColour } from "../charts/colour-ramp.ts";
import { escapeXml } from "../charts/escape-xml.ts";
import type { LayerSimilarity } from "../ports/observations.ts";
import { dataset } from "./dataset.ts";
import { count, shortMoment, two } from "./format.ts";
import type { Page } from "./page.ts";
import { Card, Chart, Downloads, Empty, timeTicks } from "./pieces.tsx";
import { HEAT_STEPS } from "./style.ts";
import { changed, oneOf, RANGE_PARAMETERS, wholeNumber, type View } from "./view.ts";

/** Windows that are drawn small, the newest. */
const THUMBNAILS = 12;

/** Two members in one window. */
interface LayerMap {
  readonly start: number;
  readonly end: number;
  readonly positions: number;
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  value(row: number, column: number): number | null;
}

/** How alike the members' layers are on live traffic. */
export const layersPage: Page = {
  path: "/layers",
  parameters: [...RANGE_PARAMETERS, "pair", "window"],
  defaultRange: "7d",
  controls: "range",
  async make({ view, sources }) {
    const all = await sources.observations.similarities(view.range);
    const pairs = [...new Set(all.map(pairName))].sort();
    const [firstPair, ...otherPairs] = pairs;
    if (firstPair === undefined) return nothingMeasured(view);
    const pair = oneOf(view, "pair", [firstPair, ...otherPairs]);
    const own = all.filter((similarity) => pairName(similarity) === pair);
    const [one] = own;
    const maps = mapsOf(own);
    const asked = wholeNumber(view, "window", 0, Number.MAX_SAFE_INTEGER);
    const shown = maps.find(({ start }) => start === asked) ?? maps.at(-1);
    if (one === undefined || shown === undefined) return nothingMeasured(view);
    const matrix = similarityData(
      "cka",
      "Similarity of layers",
      own.filter(({ start }) => start === shown.start),
    );
    const windows = windowData(maps);
    return {
      title: "Layers",
      lead: "Debiased linear CKA between the layers of two members, measured on the states of live traffic: near 0 unrelated, 1 the same up to rotation and scale.",
      data: [matrix, windows],
      body: (
        <>
          {pairs.length < 2 ? null : (
            <nav class="ranges" aria-label="Members">
              {pairs.map((name) => (
                <a
                  href={changed(view, { pair: name, window: undefined })}
                  aria-current={name === pair ? "true" : undefined}
                >
                  {name}
                </a>
              ))}
            </nav>
          )}
          <Card
            title={`${shortMoment(shown.start)} to ${shortMoment(shown.end)} UTC, ${count(shown.positions)} positions`}
          >
            <HeatTable map={shown} rowName={one.memberA} columnName={one.memberB} />
            <Downloads data={matrix} view={view} />
          </Card>
          <Card title="Over time">
            {maps.length < 2 ? (
              <p class="faint">One window so far: more come as answers are given.</p>
            ) : (
              <>
                <Chart
                  chart={{
                    label: "Mean over the layers of their most alike layer's CKA, over time",
                    height: 160,
                    x: view.range,
                    xTicks: timeTicks(view.range),
                    yFromZero: false,
                    yText: (value, decimals) => value.toFixed(decimals),
                    series: [
                      {
                        name: "best match",
                        points: maps.map((map) => ({ x: (map.start + map.end) / 2, y: bestMatch(map) })),
                      },
                    ],
                  }}
                  data={windows}
                  view={view}
                  unit="mean over the rows' layers of the CKA with the most alike layer"
                />
                <h3>Windows</h3>
                <ol class="thumbs">
                  {maps.slice(-THUMBNAILS).map((map) => (
                    <li>
                      <a
                        href={changed(view, { window: `${map.start}` })}
                        aria-current={map.start === shown.start ? "true" : undefined}
                      >
                        {raw(thumbnail(map))}
                        {shortMoment(map.start)}
                      </a>
                    </li>
                  ))}
                </ol>
              </>
            )}
          </Card>
        </>
      ),
    };
  },
};

function nothingMeasured(view: View) {
  return {
    title: "Layers",
    data: [],
    body: (
      <Empty title="Nothing measured in this range">
        <p>
          The members' layers are compared on live traffic as answers come. Ask something, or take{" "}
          <a
            href={changed(view, {
              range: "90d",
              from: undefined,
              to: undefined,
              pair: undefined,
              window: undefined,
            })}
          >
            90 days
          </a>
          . On a text of your own, <code>concord fit --report</code> compares them now.
        </p>
      </Empty>
    ),
  };
}

/** A table, so that it can be read without seeing its colours. */
function HeatTable({
  map,
  rowName,
  columnName,
}: {
  readonly map: LayerMap;
  readonly rowName: string;
  readonly columnName: string;
}) {
  return (
    <>
      <div class="scroll" role="region" aria-label="CKA by layer" tabindex={0}>
        <table class="heat">
          <caption class="hidden">
            CKA of the layers of {rowName} (rows) and {columnName} (columns)
          </caption>
          <thead>
            <tr>
              <td></td>
              <th scope="colgroup" colspan={map.columns.length}>
                {columnName}, layer
              </th>
            </tr>
            <tr>
              <th scope="col">{rowName}, layer</th>
              {map.columns.map((layer) => (
                <th scope="col">{layer}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {map.rows.map((row) => (
              <tr>
                <th scope="row">{row}</th>
                {map.columns.map((column) => {
                  const value = map.value(row, column);
                  return value === null ? <td>–</td> : <td class={`h${heatStep(value)}`}>{two(value)}</td>;
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="ramp" aria-hidden="true">
        0
        <span class="cells">
          {Array.from({ length: HEAT_STEPS + 1 }, (_, i) => (
            <i class={`h${i}`}></i>
          ))}
        </span>
        1
      </p>
    </>
  );
}

/** Cells without numbers: decoration of a link that says when it was. */
function thumbnail(map: LayerMap): string {
  const cells = map.rows.flatMap((row, i) =>
    map.columns.map((column, j) => {
      const value = map.value(row, column);
      return value === null
        ? ""
        : `<rect x="${j}" y="${i}" width="1.02" height="1.02" fill="${escapeXml(rampColour(value))}"/>`;
    }),
  );
  return `<svg aria-hidden="true" viewBox="0 0 ${map.columns.length} ${map.rows.length}" preserveAspectRatio="none">${cells.join("")}</svg>`;
}

function mapsOf(similarities: readonly LayerSimilarity[]): LayerMap[] {
  const byStart = new Map<number, LayerSimilarity[]>();
  for (const similarity of similarities) {
    const others = byStart.get(similarity.start);
    if (others === undefined) byStart.set(similarity.start, [similarity]);
    else others.push(similarity);
  }
  return [...byStart.values()].flatMap((own) => {
    const [first] = own;
    if (first === undefined) return [];
    const values = new Map(own.map(({ layerA, layerB, value }) => [`${layerA}/${layerB}`, value]));
    return [
      {
        start: first.start,
        end: first.end,
        positions: first.positions,
        rows: ascending(own.map(({ layerA }) => layerA)),
        columns: ascending(own.map(({ layerB }) => layerB)),
        value: (row: number, column: number) => values.get(`${row}/${column}`) ?? null,
      },
    ];
  });
}

function bestMatch(map: LayerMap): number {
  const best = map.rows.map((row) =>
    Math.max(...map.columns.map((column) => map.value(row, column) ?? -Infinity)),
  );
  return best.reduce((sum, value) => sum + value, 0) / best.length;
}

function similarityData(name: string, title: string, similarities: readonly LayerSimilarity[]) {
  return dataset(name, title, similarities, [
    { name: "start", title: "From", value: ({ start }) => new Date(start).toISOString() },
    { name: "end", title: "To", value: ({ end }) => new Date(end).toISOString() },
    { name: "member_a", title: "Member", value: ({ memberA }) => memberA },
    { name: "layer_a", title: "Layer", value: ({ layerA }) => layerA },
    { name: "member_b", title: "Member", value: ({ memberB }) => memberB },
    { name: "layer_b", title: "Layer", value: ({ layerB }) => layerB },
    { name: "cka", title: "CKA", value: ({ value }) => value },
    { name: "positions", title: "Positions", value: ({ positions }) => positions },
  ]);
}

function windowData(maps: readonly LayerMap[]) {
  return dataset("windows", "Best match over time", maps, [
    { name: "start", title: "From (UTC)", value: ({ start }) => new Date(start).toISOString() },
    { name: "end", title: "To (UTC)", value: ({ end }) => new Date(end).toISOString() },
    {
      name: "best_match",
      title: "Best match",
      numeric: true,
      value: bestMatch,
      cell: (map) => two(bestMatch(map)),
    },
    {
      name: "positions",
      title: "Positions",
      numeric: true,
      value: ({ positions }) => positions,
      cell: ({ positions }) => count(positions),
    },
  ]);
}

function pairName({ memberA, memberB }: LayerSimilarity): string {
  return `${memberA} and ${memberB}`;
}

function ascending(layers: readonly number[]): number[] {
  return [...new Set(layers)].sort((a, b) => a - b);
}

function heatStep(value: number): number {
  return Math.round(HEAT_STEPS * Math.min(1, Math.max(0, value)));
}

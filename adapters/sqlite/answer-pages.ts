import { sql, type SQL } from "drizzle-orm";
import { z } from "zod";
import type { AnswersQuery } from "../../src/ports/observations.ts";
import { countInRange, filterCondition, rangeCondition } from "./answer-filter.ts";
import { select, type LogDatabase } from "./log-database.ts";

export interface PageOfIds {
  /** Of rows in `requests`, in the order that was asked for. */
  readonly ids: readonly number[];
  readonly next: string | null;
}

/** Where an answer stands in its order. */
interface Place {
  readonly id: number;
  readonly at: number;
  /** Divergence, of the order of disagreement: null in its second part. */
  readonly js: number | null;
}

/** One look at an index: up to so many entries from a place on. */
interface Look {
  /** Those of them in the range and the filter. */
  readonly found: readonly Place[];
  /** The last of them; null when there were fewer than asked for: the index ends. */
  readonly last: Place | null;
}

const maximumLimit = 1000;
/** Up to so many answers in a range are sorted by disagreement; of more, those at the head of the index are looked at. */
const mostSorted = 25_000;
/** Index entries of one look, and looks of one page. */
const entriesALook = 20_000;
const looksAPage = 10;
/** Rows are read beside the index to filter them; a page reads so many entries then. */
const filteredALook = 10_000;
const filteredLooksAPage = 4;

/** After every place. */
const top: Place = { id: Number.MAX_SAFE_INTEGER, at: Number.MAX_SAFE_INTEGER, js: Number.MAX_VALUE };

/**
 * Ids of one page, by key: no page is dearer than another. By time, and by disagreement over a long range, an index is
 * read in order and each entry tried; a short range is sorted whole.
 * @throws RangeError for a wrong limit or cursor
 */
export async function pageOfAnswers(db: LogDatabase, query: AnswersQuery): Promise<PageOfIds> {
  const { range, order, limit, filter = {} } = query;
  if (!Number.isInteger(limit) || limit < 1 || limit > maximumLimit) {
    throw new RangeError(`answers: limit must be a whole number from 1 to ${maximumLimit}, got ${limit}`);
  }
  const from = query.cursor === undefined ? top : readCursor(query.cursor, order);
  if (order === "disagreement" && (await countInRange(db, range, mostSorted + 1)) <= mostSorted) {
    return sortedPage(db, query, from);
  }
  const inIndex = Object.entries(filter).every(([name, asked]) => name === "model" || asked === undefined);
  const [entries, looks] = inIndex ? [entriesALook, looksAPage] : [filteredALook, filteredLooksAPage];
  const found: Place[] = [];
  let place = from;
  for (let looked = 0; looked < looks; looked++) {
    // The first look is a short one: most pages are full of it.
    const size = looked === 0 ? Math.min(entries, 4 * limit) : entries;
    const most = limit + 1 - found.length;
    const look = await lookAt(db, query, place, { entries: size, most });
    found.push(...look.found);
    if (found.length > limit) break;
    const after = look.last ?? secondPart(order, place);
    if (after === null) return { ids: found.map(({ id }) => id), next: null };
    place = after;
  }
  return page(found, query, place);
}

/** After the answers with a divergence come those without one. */
function secondPart(order: AnswersQuery["order"], place: Place): Place | null {
  return order === "disagreement" && place.js !== null ? { ...top, js: null } : null;
}

function page(found: readonly Place[], { limit, order }: AnswersQuery, place: Place): PageOfIds {
  const shown = found.slice(0, limit);
  const last = found.length > limit ? (shown.at(-1) ?? place) : place;
  return { ids: shown.map(({ id }) => id), next: writeCursor(last, order) };
}

async function sortedPage(db: LogDatabase, query: AnswersQuery, place: Place): Promise<PageOfIds> {
  const { range, filter = {}, limit } = query;
  const found = await select<Place>(
    db,
    // The plus keeps the planner from the index by divergence.
    sql`select r.id, r.created_at as at, r.js_divergence as js from requests r
      where ${rangeCondition(range)} and ${filterCondition(filter)} and ${lessDisagreed(place)}
      order by +r.js_divergence desc, r.created_at desc, r.id desc limit ${limit + 1}`,
  );
  if (found.length <= limit) return { ids: found.map(({ id }) => id), next: null };
  return page(found, query, place);
}

async function lookAt(
  db: LogDatabase,
  { range, order, filter = {} }: AnswersQuery,
  place: Place,
  { entries, most }: { readonly entries: number; readonly most: number },
): Promise<Look> {
  const { model, ...rest } = filter;
  const byTime = order === "time";
  const bounds = [
    model === undefined ? null : sql`r.model = ${model}`,
    byTime ? rangeCondition(range) : null,
    byTime ? null : place.js === null ? sql`r.js_divergence is null` : sql`r.js_divergence is not null`,
    byTime || rest.minDivergence === undefined ? null : sql`r.js_divergence >= ${rest.minDivergence}`,
    byTime || place.js === null
      ? sql`(r.created_at, r.id) < (${place.at}, ${place.id})`
      : sql`(r.js_divergence, r.created_at, r.id) < (${place.js}, ${place.at}, ${place.id})`,
  ].filter((part) => part !== null);
  const inOrder = byTime
    ? sql`r.created_at desc, r.id desc`
    : sql`r.js_divergence desc, r.created_at desc, r.id desc`;
  const js = byTime ? sql`null` : sql`r.js_divergence`;
  const index = sql`select r.id, r.created_at as at, ${js} as js from requests r
    where ${sql.join(bounds, sql` and `)} order by ${inOrder} limit ${entries}`;
  const [found, [last]] = await Promise.all([
    select<Place>(
      db,
      sql`select look.id, look.at, look.js from (${index}) as look join requests r on r.id = look.id
        where look.at >= ${range.from} and look.at < ${range.to} and ${filterCondition(rest)}
        order by ${byTime ? sql`` : sql`look.js desc, `}look.at desc, look.id desc limit ${most}`,
    ),
    select<Place>(db, sql`${index} offset ${entries - 1}`),
  ]);
  return { found, last: last ?? null };
}

/** What a row of `requests r` must fulfil to stand after a place in the order of disagreement. */
function lessDisagreed({ js, at, id }: Place): SQL {
  return js === null
    ? sql`r.js_divergence is null and (r.created_at, r.id) < (${at}, ${id})`
    : sql`(r.js_divergence is null or (r.js_divergence, r.created_at, r.id) < (${js}, ${at}, ${id}))`;
}

const cursorFields = z.tuple([
  z.enum(["time", "disagreement"]),
  z.number().int(),
  z.number().int(),
  z.number().nullable(),
]);

function writeCursor({ at, id, js }: Place, order: AnswersQuery["order"]): string {
  return btoa(JSON.stringify([order, at, id, js])).replaceAll("=", "");
}

function readCursor(text: string, order: AnswersQuery["order"]): Place {
  const fields = cursorFields.safeParse(jsonIn(text));
  if (fields.success && fields.data[0] === order) {
    const [, at, id, js] = fields.data;
    return { at, id, js };
  }
  throw new RangeError(
    `answers: expected the cursor of a page ordered by ${order}, got ${JSON.stringify(text)}; begin without one`,
  );
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(atob(text));
  } catch {
    return null;
  }
}

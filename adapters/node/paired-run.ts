import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { unitKey } from "../../src/experiments/hash.ts";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import type { ProgressBar } from "./progress-bar.ts";

export interface PairedRun {
  /** Of a gateway. */
  readonly url: string;
  readonly apiKey: string | undefined;
  /** Models; the first one's answers are returned, the second's are the shadows. */
  readonly arms: readonly [string, string];
  /** Of the experiment; absent: after the file, its items and the arms, so that a run goes on with its own. */
  readonly name?: string | undefined;
  readonly file: string;
  readonly items: readonly ChoiceItem[];
  readonly alpha: number;
  readonly progress: ProgressBar;
  readonly signal: AbortSignal;
}

export interface PairedRunResult {
  readonly experiment: string;
  /** One per item, in the order in which both answers and the feedback were there. */
  readonly pairs: readonly JudgedPair[];
  /** Of all that the experiment has seen, valid however often one has looked. */
  readonly analysis: z.infer<typeof comparisonSchema>;
}

export interface JudgedPair {
  readonly item: ChoiceItem;
  readonly first: boolean;
  readonly second: boolean;
}

/** What tells items apart: the experiment assigns by it, so that an item is one unit however often it is asked. */
const ITEM_HEADER = "x-concord-item";
/** Shadows that may be behind: far from as many as a gateway keeps waiting. */
const MOST_BEHIND = 16;
const POLL_MS = 50;
/** Without a new sample for so long, what is missing is not coming. */
const PATIENCE_MS = 60_000;

const answerSchema = z.object({ id: z.string() });
const observationsSchema = z.object({
  data: z.array(z.object({ unit: z.string(), values: z.record(z.string(), z.number()) })),
});
const countsSchema = z.object({
  mode: z.string(),
  assign_by: z.string(),
  state: z.string(),
  arms: z.array(z.object({ name: z.string(), model: z.string() })),
  counts: z.array(
    z.object({
      name: z.string(),
      answered: z.number(),
      failed: z.number(),
      cancelled: z.number(),
      dropped: z.number(),
    }),
  ),
});
const comparisonSchema = z.object({
  verdict: z.string(),
  sentence: z.string(),
  units: z.number(),
  difference: z.number().nullable(),
  interval: z.object({ low: z.number(), high: z.number() }).nullable(),
  method: z.string(),
  p_value: z.number(),
});
const analysisSchema = z.object({ comparisons: z.tuple([comparisonSchema]) });
const errorSchema = z.object({ error: z.object({ message: z.string(), code: z.string() }) });

/**
 * Asks a gateway every item over HTTP, in a paired experiment, and tells it the right choice each time. Items that the
 * experiment has a sample of are not asked again: a run that was stopped goes on where it was.
 * @throws Error for what the gateway refuses, or when samples do not come
 */
export async function runPaired(run: PairedRun): Promise<PairedRunResult> {
  const { arms, items, file, progress, signal } = run;
  const name = run.name ?? runName(run);
  const path = `/v1/experiments/${encodeURIComponent(name)}`;
  const client = createClient(run);
  await ensureExperiment(client, name, run);

  const units = new Map<string, ChoiceItem>();
  for (const item of items) units.set(await unitKey(`header:${ITEM_HEADER}`, item.id), item);
  const observed = async () => {
    const { data } = observationsSchema.parse(await client.get(`${path}/observations?metric=correct`));
    return data.filter(({ unit }) => units.has(unit));
  };
  const behind = async (asked: number, before: number): Promise<number> => {
    const { counts } = countsSchema.parse(await client.get(path));
    const shadow = counts.find((arm) => arm.name === arms[1]);
    const over = shadow ? shadow.answered + shadow.failed + shadow.cancelled + shadow.dropped : 0;
    return asked - (over - before);
  };

  const done = new Set((await observed()).map(({ unit }) => unit));
  const before = -(await behind(0, 0));
  progress.stage(`asking ${file}`, units.size, "steps");
  progress.update(done.size);
  let asked = 0;
  for (const [unit, item] of units) {
    if (done.has(unit)) continue;
    signal.throwIfAborted();
    const answer = answerSchema.parse(
      await client.post(
        "/v1/completions",
        {
          model: `experiment:${name}`,
          prompt: item.context,
          temperature: 0,
          structured_outputs: { choice: item.choices },
        },
        { [ITEM_HEADER]: item.id },
      ),
    );
    await client.post("/feedback", {
      metric_name: "demonstration",
      value: item.choices[item.label],
      request_id: answer.id,
    });
    asked++;
    progress.update(done.size + asked);
    if (asked % MOST_BEHIND === 0) {
      while ((await behind(asked, before)) > MOST_BEHIND) await sleep(POLL_MS, undefined, { signal });
    }
  }
  for (let seen = -1, since = Date.now(); ;) {
    const found = await observed();
    if (found.length >= units.size) {
      progress.finish();
      const said = analysisSchema.parse(await client.get(`${path}/analysis?metric=correct`));
      return {
        experiment: name,
        analysis: said.comparisons[0],
        pairs: found.flatMap(({ unit, values }) => pairOf(units.get(unit), values, arms)),
      };
    }
    if (found.length > seen) [seen, since] = [found.length, Date.now()];
    if (Date.now() - since > PATIENCE_MS) {
      throw new Error(
        `${units.size - found.length} of ${units.size} items have no sample: shadows failed or were dropped; run it again to ask these again`,
      );
    }
    await sleep(POLL_MS * 10, undefined, { signal });
  }
}

function pairOf(
  item: ChoiceItem | undefined,
  values: Readonly<Record<string, number>>,
  [first, second]: readonly [string, string],
): JudgedPair[] {
  return item === undefined ? [] : [{ item, first: values[first] === 1, second: values[second] === 1 }];
}

/** Another file, other items or other arms have another name. */
function runName({ file, items, arms }: PairedRun): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([arms, items]))
    .digest("hex")
    .slice(0, 8);
  const stem = file.replace(/\.jsonl$/, "").replaceAll(/[^A-Za-z0-9._-]/g, "-");
  return `run-${stem.slice(0, 48)}-${hash}`;
}

async function ensureExperiment(
  client: Client,
  name: string,
  { arms, alpha, items }: PairedRun,
): Promise<void> {
  const there = await client.get(`/v1/experiments/${encodeURIComponent(name)}`, "or null");
  if (there === null) {
    await client.post("/v1/experiments", {
      name,
      mode: "paired_shadow",
      arms: arms.map((model) => ({ name: model, model })),
      control: arms[1],
      returned: arms[0],
      assign_by: `header:${ITEM_HEADER}`,
      metrics: [{ name: "correct", kind: "boolean" }],
      alpha,
      planned_units: Math.max(items.length, 2),
      start: true,
    });
    return;
  }
  const found = countsSchema.parse(there);
  const same =
    found.mode === "paired_shadow" &&
    found.assign_by === `header:${ITEM_HEADER}` &&
    found.arms.map(({ model }) => model).join() === arms.join();
  if (!same) throw new Error(`the experiment ${name} is another one: give this run a --name of its own`);
  if (found.state !== "running") await client.post(`/v1/experiments/${encodeURIComponent(name)}/start`, {});
}

interface Client {
  /** @throws Error with the gateway's message; a path that is not found gives null where that is asked for */
  get(path: string, missing?: "or null"): Promise<unknown>;
  post(path: string, body: object, headers?: Readonly<Record<string, string>>): Promise<unknown>;
}

function createClient({ url, apiKey, signal }: PairedRun): Client {
  const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const send = async (path: string, init: RequestInit): Promise<Response> => {
    const headers = { ...authorization, ...init.headers };
    try {
      return await fetch(new URL(path, url), { ...init, headers, signal });
    } catch (error) {
      throw new Error(`no answer from ${url}: is a gateway running there?`, { cause: error });
    }
  };
  return {
    async get(path, missing) {
      const response = await send(path, {});
      return response.status === 404 && missing !== undefined ? null : read(path, response);
    },
    async post(path, body, headers = {}) {
      const response = await send(path, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json", ...headers },
      });
      return read(path, response);
    },
  };
}

async function read(path: string, response: Response): Promise<unknown> {
  const body: unknown = await response.json();
  if (response.ok) return body;
  const refused = errorSchema.safeParse(body);
  throw new Error(`${path}: ${response.status} ${refused.data?.error.message ?? "without a reason"}`);
}

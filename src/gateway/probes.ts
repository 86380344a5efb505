import type { ProbeFitRequest, Probes } from "../ports/probes.ts";
import { silentProgress, type Progress } from "../ports/progress.ts";
import type { AnswerSource, GatewayContext } from "./environment.ts";
import { readFields } from "./invalid-field.ts";
import { probeDocument, probeObject, readProbeDocument } from "./probe-document.ts";
import { outcomesOf, probeRequest, versionQuery } from "./probe-schemas.ts";
import { readJsonObject } from "./request-body.ts";
import { disconnection, streamChunks } from "./sse.ts";
import { supportedFields } from "./unsupported.ts";

/** `POST /v1/probes`: learns a probe; with `stream`, events tell how far it is, and the last one is the probe. */
export const fitProbe =
  (probes: Probes, reportFailure: AnswerSource["reportFailure"]) =>
  async (c: GatewayContext): Promise<Response> => {
    const { examples, stream, ...rest } = readFields(probeRequest, supportedFields(await readJsonObject(c)));
    const abort = disconnection(c);
    const request = {
      ...rest,
      texts: examples.map(({ text }) => text),
      outcomes: outcomesOf(examples),
      signal: abort.signal,
    };
    if (!stream) return c.json(probeObject(await probes.fit({ ...request, progress: silentProgress })));
    return streamChunks(c, fitEvents(probes, request), abort, reportFailure);
  };

/** `GET /v1/probes`: every version of every probe. */
export const listProbes =
  (probes: Probes) =>
  async (c: GatewayContext): Promise<Response> =>
    c.json({ object: "list", data: (await probes.list()).map(probeObject) });

/** `GET /v1/probes/:name`: the newest version, or the one that `?version=` names. */
export const findProbe =
  (probes: Probes) =>
  async (c: GatewayContext): Promise<Response> =>
    c.json(probeObject(await probes.find(c.req.param("name") ?? "", versionOf(c))));

/** `GET /v1/probes/:name/export`: the same with its weights, for `POST /v1/probes/import`. */
export const exportProbe =
  (probes: Probes) =>
  async (c: GatewayContext): Promise<Response> =>
    c.json(probeDocument(await probes.find(c.req.param("name") ?? "", versionOf(c))));

/** `POST /v1/probes/import`: an exported probe becomes the next version of its name here. */
export const importProbe =
  (probes: Probes) =>
  async (c: GatewayContext): Promise<Response> =>
    c.json(probeObject(await probes.add(readProbeDocument(await readJsonObject(c)))));

/** `DELETE /v1/probes/:name`: all versions. */
export const removeProbe =
  (probes: Probes) =>
  async (c: GatewayContext): Promise<Response> => {
    const name = c.req.param("name") ?? "";
    const versions = await probes.remove(name);
    return c.json({ object: "probe.deleted", name, versions, deleted: true });
  };

function versionOf(c: GatewayContext): number | undefined {
  return readFields(versionQuery, c.req.query()).version;
}

interface ProgressEvent {
  readonly object: "probe.progress";
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

/** How far the fit is, only the latest where the client reads slowly; then the probe. */
async function* fitEvents(
  probes: Probes,
  request: Omit<ProbeFitRequest, "progress">,
): AsyncGenerator<ProgressEvent | ReturnType<typeof probeObject>> {
  const news = latestProgress();
  const fit = probes.fit({ ...request, progress: news.progress });
  const over = fit.then(
    () => null,
    () => null,
  );
  for (;;) {
    const event = await Promise.race([news.next(), over]);
    if (event === null) break;
    yield event;
  }
  yield probeObject(await fit);
}

/** Progress of which only the latest is kept until somebody asks. */
function latestProgress(): { readonly progress: Progress; next(): Promise<ProgressEvent> } {
  let latest: ProgressEvent = { object: "probe.progress", stage: "", done: 0, total: 0 };
  let untold = false;
  let tell: ((event: ProgressEvent) => void) | null = null;
  const set = (event: ProgressEvent): void => {
    latest = event;
    untold = tell === null;
    tell?.(event);
    tell = null;
  };
  return {
    progress: {
      stage: (stage, total) => set({ object: "probe.progress", stage, done: 0, total }),
      update: (done) => set({ ...latest, done }),
      finish() {},
    },
    next() {
      if (!untold) return new Promise((resolve) => (tell = resolve));
      untold = false;
      return Promise.resolve(latest);
    },
  };
}

import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { HubSource } from "./manifest.ts";
import { explainWriteError, requireDiskSpace, type SourceJob } from "./source.ts";

const REDIRECTS = 10;
/** How often in a row a transfer that has begun may break without bringing a byte. */
const FRUITLESS_ATTEMPTS = 3;

/** The server has answered, and asking again would not change the answer. */
class Refusal extends Error {}

/**
 * Downloads one file of a hub repository over HTTPS. `HF_ENDPOINT` names another hub or a mirror, `HF_TOKEN` is sent
 * to that host alone. A broken transfer goes on where it stopped; a hub that does not answer at all is given up at
 * once. A file of another size or hash than expected is refused before its bytes are read, where the hub tells them.
 */
export async function fetchFromHub(source: HubSource, job: SourceJob): Promise<boolean> {
  const url = hubUrl(source, job.env);
  const had = await partBytes(job);
  await requireDiskSpace(job, job.file.bytes - had);
  let fruitless = 0;
  for (let size = had; size < job.file.bytes;) {
    try {
      await transfer(url, size, job);
    } catch (error) {
      job.signal?.throwIfAborted();
      const reached = await partBytes(job);
      fruitless = reached > size ? 0 : fruitless + 1;
      const begun = reached > had;
      const explained = explainWriteError(job, error);
      if (error instanceof Refusal || explained !== error || !begun || fruitless > FRUITLESS_ATTEMPTS) {
        throw explained;
      }
      await sleep(250 * 2 ** fruitless, undefined, { signal: job.signal });
    }
    size = await partBytes(job);
  }
  return had > 0;
}

function hubUrl(source: HubSource, env: NodeJS.ProcessEnv): URL {
  const endpoint = env["HF_ENDPOINT"] || "https://huggingface.co";
  const file = source.file.split("/").map(encodeURIComponent).join("/");
  const path = `${source.repo}/resolve/${encodeURIComponent(source.revision)}/${file}`;
  try {
    return new URL(path, endpoint.endsWith("/") ? endpoint : `${endpoint}/`);
  } catch (cause) {
    throw new Error(`HF_ENDPOINT is ${JSON.stringify(endpoint)}, an http(s) address expected`, { cause });
  }
}

/** Bytes of the part that can be continued. One that is longer than the file is no part of it. */
async function partBytes(job: SourceJob): Promise<number> {
  const found = await stat(job.partPath).catch(() => null);
  if (found === null || !found.isFile()) return 0;
  if (found.size <= job.file.bytes) return found.size;
  await rm(job.partPath);
  return 0;
}

/** One request and its body, from byte `start` on. */
async function transfer(url: URL, start: number, job: SourceJob): Promise<void> {
  const watchdog = new AbortController();
  const signal = job.signal ? AbortSignal.any([watchdog.signal, job.signal]) : watchdog.signal;
  try {
    const response = await openTransfer(url, start, job, watchdog, signal);
    if (!response.body) throw new Refusal(`${url.host} answered without a body`);
    const begin = response.status === 206 ? start : 0;
    if (begin === 0) await rememberTag(response, job);
    job.progress.stage(`${job.file.name}: downloading from ${url.host}`, job.file.bytes, "bytes");
    job.progress.update(begin);
    await writeBody(response.body, begin, job, watchdog);
  } catch (error) {
    throw explainNetworkError(error, url);
  } finally {
    watchdog.abort();
  }
}

async function openTransfer(
  url: URL,
  start: number,
  job: SourceJob,
  watchdog: AbortController,
  signal: AbortSignal,
): Promise<Response> {
  // Without this a server may compress, and sizes would mean nothing.
  const headers = new Headers({ "accept-encoding": "identity" });
  if (start > 0) {
    headers.set("range", `bytes=${start}-`);
    const tag = await readFile(tagPath(job), "utf8").catch(() => null);
    if (tag !== null) headers.set("if-range", tag);
  }
  let at = url;
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    // Redirects are followed by hand: the hub tells size and hash in the redirect, and the token is for the hub alone.
    const token = at.origin === url.origin ? job.env["HF_TOKEN"] : undefined;
    if (token) headers.set("authorization", `Bearer ${token}`);
    else headers.delete("authorization");
    const late = setTimeout(() => {
      watchdog.abort(new Error(`${at.host} did not answer within ${job.limits.connectMs / 1000} s`));
    }, job.limits.connectMs);
    const response = await fetch(at, { headers, redirect: "manual", signal }).finally(() =>
      clearTimeout(late),
    );
    refuseOtherFile(response, job);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) {
      return checkAnswer(response, at, start, job);
    }
    await response.body?.cancel();
    at = new URL(location, at);
  }
  throw new Refusal(`${url.host} redirected more than ${REDIRECTS} times`);
}

/** The hub names the size and, for large files, the sha256 of what its redirect leads to. */
function refuseOtherFile(response: Response, job: SourceJob): void {
  const size = response.headers.get("x-linked-size");
  if (size !== null && Number(size) !== job.file.bytes) {
    throw new Refusal(`the hub's file has ${size} bytes, ${job.file.bytes} expected: it is another file`);
  }
  const tag = (response.headers.get("x-linked-etag") ?? "").replaceAll(/^W\/|"/g, "");
  if (/^[0-9a-f]{64}$/.test(tag) && tag !== job.file.sha256) {
    throw new Refusal(`the hub's file has sha256 ${tag}, ${job.file.sha256} expected: it is another file`);
  }
}

async function checkAnswer(response: Response, at: URL, start: number, job: SourceJob): Promise<Response> {
  const { status } = response;
  if (status === 401 || status === 403) {
    throw new Refusal(`${at.host} answered ${status}: set HF_TOKEN to a token that may read the repository`);
  }
  if (status === 416) {
    await rm(job.partPath, { force: true });
    throw new Refusal(
      `${at.host} has no bytes after ${start}, ${job.file.bytes} expected: it is another file`,
    );
  }
  if (status >= 500 || status === 429) throw new Error(`${at.host} answered ${status}`);
  if (status !== 200 && status !== 206) throw new Refusal(`${at.host} answered ${status} for ${at.pathname}`);
  const total = status === 206 ? rangeTotal(response, at, start) : response.headers.get("content-length");
  if (total !== null && Number(total) !== job.file.bytes) {
    throw new Refusal(`${at.host} offers ${total} bytes, ${job.file.bytes} expected: it is another file`);
  }
  return response;
}

/** The whole file's size in `content-range`; null where the server leaves it open. */
function rangeTotal(response: Response, at: URL, start: number): string | null {
  const range = response.headers.get("content-range");
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range ?? "") ?? [];
  if (first === undefined || total === undefined || Number(first) !== start) {
    throw new Refusal(`${at.host} answered with content-range ${range}, bytes from ${start} on expected`);
  }
  return total === "*" ? null : total;
}

async function writeBody(
  body: ReadableStream<Uint8Array>,
  start: number,
  job: SourceJob,
  watchdog: AbortController,
): Promise<void> {
  const { stallMs } = job.limits;
  const stalled = setTimeout(
    () => watchdog.abort(new Error(`the transfer brought nothing for ${stallMs / 1000} s`)),
    stallMs,
  );
  const out = await open(job.partPath, start === 0 ? "w" : "a");
  let done = start;
  try {
    for await (const chunk of body) {
      stalled.refresh();
      if (done + chunk.byteLength > job.file.bytes) {
        throw new Refusal(`more than the expected ${job.file.bytes} bytes came: it is another file`);
      }
      await out.writeFile(chunk);
      done += chunk.byteLength;
      job.progress.update(done);
    }
  } finally {
    clearTimeout(stalled);
    await out.close();
  }
  if (done < job.file.bytes) throw new Error(`the transfer ended at ${done} of ${job.file.bytes} bytes`);
}

const tagPath = (job: SourceJob): string => `${job.partPath}.etag`;

/** A strong ETag lets the next attempt ask for the rest of the same file only. */
async function rememberTag(response: Response, job: SourceJob): Promise<void> {
  const tag = response.headers.get("etag");
  if (tag !== null && !tag.startsWith("W/")) await writeFile(tagPath(job), tag);
  else await rm(tagPath(job), { force: true });
}

/** `fetch failed` hides the reason in its cause. */
function explainNetworkError(error: unknown, url: URL): unknown {
  if (!(error instanceof TypeError)) return error;
  const { cause } = error;
  const reason =
    cause instanceof Error ? ("code" in cause ? String(cause.code) : cause.message) : error.message;
  return new Error(`the connection to ${url.host} failed (${reason})`, { cause: error });
}

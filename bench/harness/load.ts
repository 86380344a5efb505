import { readdirSync, readFileSync } from "node:fs";
import type { Load } from "./suite.ts";

/** Jiffies of Linux's /proc, 10 ms each on every system that Node runs on. */
const JIFFY_MS = 10;

interface Times {
  readonly atMs: number;
  /** Of all cores, milliseconds. */
  readonly busyMs: number;
  readonly stealMs: number;
  readonly totalMs: number;
  /** Of this process and all that it started. */
  readonly oursMs: number;
}

/** Watches the machine from now on. Call the result for what others used of it since. */
export function watchLoad(): () => Load {
  const before = readTimes();
  return () => {
    const after = readTimes();
    if (before === null || after === null || after.atMs <= before.atMs) {
      return { othersCores: null, steal: null };
    }
    const others = after.busyMs - before.busyMs - (after.oursMs - before.oursMs);
    const total = after.totalMs - before.totalMs;
    return {
      othersCores: Math.max(0, others) / (after.atMs - before.atMs),
      steal: total > 0 ? (after.stealMs - before.stealMs) / total : 0,
    };
  };
}

/** Null where there is no /proc. */
function readTimes(): Times | null {
  let stat: string;
  try {
    stat = readFileSync("/proc/stat", "utf8");
  } catch {
    return null;
  }
  // cpu  user nice system idle iowait irq softirq steal guest guest_nice
  const [, user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = (
    stat.split("\n")[0] ?? ""
  )
    .split(/\s+/)
    .map(Number);
  const busy = user + nice + system + irq + softirq;
  return {
    atMs: performance.now(),
    busyMs: busy * JIFFY_MS,
    stealMs: steal * JIFFY_MS,
    totalMs: (busy + idle + iowait + steal) * JIFFY_MS,
    oursMs: treeTimeMs(process.pid),
  };
}

/** Time that a process computed, with its children that have ended, milliseconds; null where there is no /proc. */
export function timeOf(pid: number): number | null {
  const fields = processFields(String(pid));
  return fields && computedMs(fields);
}

/** Time of a process, of those that descend from it, and of those among them that have ended. */
function treeTimeMs(root: number): number {
  const parents = new Map<number, number>();
  const times = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = processFields(entry);
    if (fields === null) continue;
    parents.set(Number(entry), Number(fields[1]));
    times.set(Number(entry), computedMs(fields));
  }
  const descends = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 0; at = parents.get(at)) {
      if (at === root) return true;
    }
    return false;
  };
  let sum = 0;
  for (const [pid, time] of times) if (descends(pid)) sum += time;
  return sum;
}

/** utime, stime, cutime and cstime: fields 14 to 17 of proc(5), where the first here is the third there. */
function computedMs(fields: readonly string[]): number {
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) * JIFFY_MS;
}

/** What stands after the name of a process, which may hold spaces and brackets; null for one that has gone. */
function processFields(pid: string): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

/** Memory of a process, bytes: now and at its highest; null where there is no /proc. */
export function memoryOf(pid: number): { readonly rss: number; readonly peak: number } | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kilobytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
    return { rss: kilobytes("VmRSS") * 1024, peak: kilobytes("VmHWM") * 1024 };
  } catch {
    return null;
  }
}

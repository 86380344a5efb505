import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import koffi from "koffi";

/**
 * Collects this thread's garbage now, and gives the process's unused memory back to the system. Loading leaves tens of
 * megabytes of both, and a thread that idles would keep them: it is allocating that makes the engine collect.
 */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  trim?.(0);
}

/** Of the GNU C library; others have no such function. */
const trim = ((): ((keep: number) => number) | null => {
  try {
    return koffi.load(null).func("int malloc_trim(size_t)");
  } catch {
    return null;
  }
})();

// A worker thread does not take over the loader that runs TypeScript on the main thread.
import { register } from "tsx/esm/api";

register();
await import("./log-writer-thread.ts");

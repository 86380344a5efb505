import { readFileSync } from "node:fs";
import { z } from "zod";

const { version, description } = z
  .object({ version: z.string(), description: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")));

/** What this is, and which one. */
export { version as CONCORD_VERSION, description as CONCORD_DESCRIPTION };

import { readFileSync } from "node:fs";
import { generateSQLiteDrizzleJson, generateSQLiteMigration } from "drizzle-kit/api";
import { expect, test } from "vitest";
import { z } from "zod";
import * as experimentSchema from "../../adapters/sqlite/experiment-schema.ts";
import * as schema from "../../adapters/sqlite/schema.ts";

const folder = new URL("../../migrations/meta/", import.meta.url);
const readJson = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const journal = z.object({ entries: z.array(z.object({ idx: z.number() })) });

test("the migrations bring exactly the tables and indexes of the schema", async () => {
  const last = journal.parse(readJson("_journal.json")).entries.at(-1)?.idx ?? 0;
  const migrated = readJson(`${String(last).padStart(4, "0")}_snapshot.json`);
  const wanted = await generateSQLiteDrizzleJson({ ...schema, ...experimentSchema });
  expect(await generateSQLiteMigration(migrated as typeof wanted, wanted)).toEqual([]);
});

import { readFileSync } from "node:fs";
import { generateSQLiteDrizzleJson, generateSQLiteMigration } from "drizzle-kit/api";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { fileURLToPath } from "node:url";
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

test("no migration reads or rewrites rows of a table that was there before, so that a log of any size opens at once", () => {
  const migrations = readMigrationFiles({ migrationsFolder: fileURLToPath(new URL("..", folder)) });
  expect(migrations.length).toBeGreaterThan(5);
  for (const { sql } of migrations) {
    const made = new Set<string>();
    for (const statement of sql.map((text) => text.trim().replaceAll(/\s+/g, " "))) {
      const table = /^CREATE TABLE `(\w+)`/.exec(statement)?.[1];
      const indexed = /^CREATE (?:UNIQUE )?INDEX `\w+` ON `(\w+)`/.exec(statement)?.[1];
      const filled = /^INSERT INTO `(\w+)`/.exec(statement)?.[1];
      // The greatest id is at the end of the table; anything else would be looked for.
      const looks =
        /\bselect\b/i.test(statement) &&
        !/SELECT '\w+', coalesce\(max\(`id`\), 0\) FROM `\w+`;?$/.test(statement);
      if (table !== undefined) made.add(table);
      else if (indexed !== undefined) expect(made, statement).toContain(indexed);
      else if (filled !== undefined) expect([made.has(filled), looks], statement).toEqual([true, false]);
      else expect(statement).toMatch(/^ALTER TABLE `\w+` ADD `\w+` \w+( DEFAULT .+)?;?$/);
    }
  }
});

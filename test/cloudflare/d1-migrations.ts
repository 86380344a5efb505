import { fileURLToPath } from "node:url";
import { readMigrationFiles } from "drizzle-orm/migrator";

const migrationsFolder = fileURLToPath(new URL("../../migrations", import.meta.url));

/** What applying migrations needs of a D1 database. */
interface MigratedDatabase {
  prepare(statement: string): { run(): Promise<unknown> };
}

/** The product's migrations on a fresh D1, statement by statement. */
export async function applyMigrations(database: MigratedDatabase): Promise<void> {
  for (const migration of readMigrationFiles({ migrationsFolder })) {
    for (const statement of migration.sql) await database.prepare(statement).run();
  }
}

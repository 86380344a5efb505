import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "sqlite",
  schema: ["./adapters/sqlite/schema.ts", "./adapters/sqlite/experiment-schema.ts"],
  out: "./migrations",
});

#!/usr/bin/env node
// The product is TypeScript that runs as it is: tsx strips the types as files are imported.
import { register } from "tsx/esm/api";

register();
await import("./cli.ts");

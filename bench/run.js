// TypeScript that runs as it is, like the product.
import { register } from "tsx/esm/api";

register();
await import("./harness/cli.ts");

import { pullModel } from "../../../adapters/node/models/pull.ts";
import type { ModelManifest } from "../../../adapters/node/models/manifest.ts";

// One pull in a process of its own, so that a test can kill it: pull-process.ts MODEL-AS-JSON FOLDER
const [model = "", folder = ""] = process.argv.slice(2);
await pullModel(JSON.parse(model) as ModelManifest, folder);

// Behaves as `pip download` and `mvn dependency:copy` do, without a network: fake-client.mjs FOLDER ARGS...
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder, ...args] = process.argv.slice(2);
const pip = args.includes("download");
const request = pip
  ? args.at(-1)
  : args.find((arg) => arg.startsWith("-Dartifact=")).slice("-Dartifact=".length);
const dest = pip ? args[args.indexOf("--dest") + 1] : ".";
appendFileSync(join(folder, "requests.log"), `${request}\n`);

const offer = join(folder, "offers", encodeURIComponent(request));
if (!existsSync(offer)) {
  if (pip) console.error(`WARNING: Retrying\nERROR: No matching distribution found for ${request}`);
  else
    console.log(`\u001B[0m[ERROR] Could not find ${request} -> [Help 1]\n[ERROR] \n[ERROR] [Help 1] advice`);
  process.exit(1);
}
const archive = readFileSync(offer);
const hangPath = join(folder, "hang-at");
if (existsSync(hangPath) && readFileSync(hangPath, "utf8") === request) {
  writeFileSync(join(process.env.TMPDIR ?? dest, "half"), archive.subarray(0, archive.length / 2));
  writeFileSync(join(folder, "hanging-pid"), String(process.pid));
  setInterval(() => {}, 1000);
} else {
  writeFileSync(join(dest, pip ? "some.whl" : "some.jar"), archive);
}

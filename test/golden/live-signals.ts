/*
 * Signals of real short requests, with the maps as they are and with noise on Gemma's: live-signals.json.
 * Run from the root, with the models pulled: node --import tsx test/golden/live-signals.ts (15 minutes on two busy cores).
 */
import { readFile, writeFile } from "node:fs/promises";
import { openConfidence } from "../../adapters/node/open-confidence.ts";
import { openEnsemble } from "../../adapters/node/open-ensemble.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import type { SharedSpace } from "../../src/alignment/shared-space.ts";
import { parseCorpus, type Passage } from "../../src/ensemble/corpus.ts";
import { createEngine, ENSEMBLE_ID } from "../../src/ensemble/engine.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { plainSampling, type Engine, type Prompt } from "../../src/ports/engine.ts";
import { answerSignals, signalsOf } from "../../src/watch/signals.ts";

const NORMAL = 300;
const PERTURBED = 120;
/** ‖noise‖ / ‖P‖ on the second member's projection. */
const NOISE = [0.1, 0.3, 0.5, 1];
const TOKENS = 8;
const SEED = 20266;

const corpus = new URL("../../data/corpus/", import.meta.url);

/** What is asked: the beginnings of texts, and first questions of chats. */
async function prompts(): Promise<Prompt[]> {
  const names = ["chat.jsonl", "encyclopaedia.jsonl", "code.jsonl"];
  const found: Prompt[] = [];
  for (const name of names) {
    const documents = parseCorpus({ name, text: await readFile(new URL(name, corpus), "utf8") });
    found.push(...documents.flatMap(({ passages: [first] }) => (first ? asked(first) : [])));
  }
  const order = createRandom(SEED).shuffle(Array.from(found.keys()));
  return order.flatMap((at) => found[at] ?? []);
}

function asked(passage: Passage): Prompt[] {
  if (passage.kind === "text") return [{ kind: "text", text: passage.text.slice(0, 120) }];
  const length = passage.messages.reduce((sum, { content }) => sum + content.length, 0);
  return length > 300 ? [] : [{ kind: "chat", messages: passage.messages }];
}

async function signalsOfAnswer(
  engine: Engine,
  prompt: Prompt,
  seed: number,
): Promise<(number | null)[] | null> {
  const events = engine.answer({
    requestId: `request-${seed}`,
    model: ENSEMBLE_ID,
    endpoint: "completions",
    prompt,
    maxTokens: TOKENS,
    stop: [],
    sampling: { ...plainSampling, temperature: prompt.kind === "chat" ? 0.7 : 0, seed },
    topLogprobs: null,
    echo: false,
  });
  for await (const event of events) {
    if (event.type !== "end" || event.report.answeredBy !== ENSEMBLE_ID) continue;
    const values = answerSignals(event.report, event.confidence);
    if (values.length === 0) return null;
    return signals.map(({ name, member }) => {
      const value = values.find((told) => told.name === name && told.member === member)?.value;
      return value === undefined ? null : Number(value.toPrecision(6));
    });
  }
  return null;
}

function perturbed(space: SharedSpace, noise: number): SharedSpace {
  const random = createRandom(SEED);
  const members = space.members.map((member, m) => {
    if (m !== 1) return member;
    const { projection } = member;
    const norm = Math.sqrt(projection.reduce((sum, x) => sum + x * x, 0) / projection.length);
    return { ...member, projection: projection.map((x) => x + noise * norm * random.normal()) };
  });
  return { ...space, members };
}

const nothingKept: AgreementLog = {
  append: async () => {},
  list: async () => [],
  find: async () => null,
  close: async () => {},
};

const { ensemble, close } = await openEnsemble({ progress: createProgressBar() });
const signals = signalsOf(ensemble.members.map(({ info }) => info.id));
try {
  const { book } = await openConfidence(ensemble);
  const open = (space: SharedSpace): Engine =>
    createEngine({
      ensemble: { ...ensemble, space },
      log: nothingKept,
      clock: systemClock,
      keepText: false,
      confidence: book,
    });
  const all = await prompts();
  const record = async (engine: Engine, from: number, count: number): Promise<(number | null)[][]> => {
    const rows: (number | null)[][] = [];
    for (const [i, prompt] of all.slice(from, from + count).entries()) {
      const row = await signalsOfAnswer(engine, prompt, from + i);
      if (row) rows.push(row);
    }
    return rows;
  };
  const started = performance.now();
  const normal = await record(open(ensemble.space), 0, NORMAL);
  console.error(`${Math.round((performance.now() - started) / NORMAL)} ms a request`);
  const perturbedBy: Record<string, (number | null)[][]> = {};
  for (const noise of NOISE) {
    perturbedBy[noise] = await record(open(perturbed(ensemble.space, noise)), NORMAL, PERTURBED);
    console.error(`noise ${noise}: ${perturbedBy[noise].length} answers`);
  }
  await writeFile(
    new URL("live-signals.json", import.meta.url),
    `${JSON.stringify({ signals, normal, perturbed: perturbedBy })}\n`,
  );
} finally {
  await close();
}

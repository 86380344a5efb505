import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { scoreChoicesFile, type ScoreRequest } from "../../adapters/node/score-choices-file.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";

let folder: string;
let path: string;
let scoresPath: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-scores-"));
  path = join(folder, "quiz.jsonl");
  scoresPath = join(folder, "scores.jsonl");
  const items = Array.from({ length: 10 }, (_, i) => ({
    id: `q${i}`,
    context: `${i} + 1 is`,
    choices: [` ${i + 1}`, ` ${i}`],
    label: 0,
    split: i % 5 === 0 ? "choose" : "report",
  }));
  await writeFile(path, items.map((item) => `${JSON.stringify(item)}\n`).join(""));
});

afterEach(() => rm(folder, { recursive: true }));

/** Scores the quiz; `notes` are what the user is told besides progress. */
async function scoreQuiz(
  ensemble: Ensemble,
  {
    limit = null,
    learn = false,
    together = true,
    split = "report",
  }: Partial<Pick<ScoreRequest, "limit" | "learn" | "together" | "split">> = {},
) {
  const notes: string[] = [];
  const progress = { ...silentProgress, note: (text: string) => void notes.push(text) };
  const request = { path, split, learn, together, limit, scoresPath, progress };
  const found = await scoreChoicesFile(ensemble, request);
  return { ...found, notes };
}

/** The scripted ensemble; its anchor counts the sequences' appends, and is lost after `most` of them. */
function countingEnsemble(most = Infinity): { ensemble: Ensemble; appends: () => number } {
  const scripted = createScriptedEnsemble();
  const [anchor, ...others] = scripted.members;
  let appends = 0;
  const counted = {
    ...anchor,
    openSequence: () => {
      const sequence = anchor.openSequence();
      return {
        ...sequence,
        get length() {
          return sequence.length;
        },
        append: (...args: Parameters<typeof sequence.append>) => {
          if (++appends > most) throw new GatewayError("members_lost", "first: its worker ended");
          return sequence.append(...args);
        },
      };
    },
  };
  return { ensemble: { ...scripted, members: [counted, ...others] }, appends: () => appends };
}

describe("scoring a file of choices", () => {
  it("gives the items of the split, and those to choose on", async () => {
    const { told, choosing } = await scoreQuiz(createScriptedEnsemble());
    expect(told.map(({ item }) => item.id)).toEqual(["q1", "q2", "q3", "q4", "q6", "q7", "q8", "q9"]);
    expect(choosing.map(({ item }) => item.id)).toEqual(["q0", "q5"]);
  });

  it("takes a limited number evenly over the file", async () => {
    const { told } = await scoreQuiz(createScriptedEnsemble(), { limit: 2 });
    expect(told.map(({ item }) => item.id)).toEqual(["q4", "q9"]);
  });

  it("goes on where a run ended in the middle of an item", async () => {
    const whole = await scoreQuiz(createScriptedEnsemble());
    const lines = (await readFile(scoresPath, "utf8")).split("\n");
    // Three items, and of the fourth what members say alone and a piece of what they say together.
    await writeFile(scoresPath, `${lines.slice(0, 7).join("\n")}\n${lines[7]?.slice(0, 90)}`);
    const { ensemble, appends } = countingEnsemble();
    const again = await scoreQuiz(ensemble);
    expect(again.notes).toEqual([`3 of 10 items were scored before: ${scoresPath}`]);
    expect(appends()).toBe(2 * 7);
    expect((await readFile(scoresPath, "utf8")).split("\n")).toHaveLength(2 * 10 + 1);
    expect({ ...again, notes: [] }).toEqual({ ...whole, notes: [] });
  });

  it("scores nothing again when all is there", async () => {
    await scoreQuiz(createScriptedEnsemble());
    const { ensemble, appends } = countingEnsemble();
    await scoreQuiz(ensemble);
    expect(appends()).toBe(0);
  });

  it("keeps what was scored before a member was lost, and names the item", async () => {
    const { ensemble } = countingEnsemble(9);
    await expect(scoreQuiz(ensemble)).rejects.toThrow(/quiz\.jsonl: item q\d: first: its worker ended/);
    const { notes } = await scoreQuiz(createScriptedEnsemble());
    expect(notes).toEqual([`4 of 10 items were scored before: ${scoresPath}`]);
  });

  it("scores an item anew when its texts are others, and no other", async () => {
    await scoreQuiz(createScriptedEnsemble());
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace("3 + 1 is", "3 and 1 is").replaceAll('"label":0', '"label":1'));
    expect((await scoreQuiz(createScriptedEnsemble())).notes[0]).toMatch(/^9 of 10 items/);
  });

  it("reads items to learn from where decisions are to be learned, and only what members say alone", async () => {
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace(/("id":"q[67]".*)"split":"report"/g, '$1"split":"fit"'));
    const { fit } = await scoreQuiz(createScriptedEnsemble(), { learn: true });
    expect(fit.map(({ item }) => item.id)).toEqual(["q6", "q7"]);
    for (const { scores } of fit) {
      expect(scores.alone.map(({ name }) => name)).toEqual(["first", "second"]);
      expect(scores.alone[0]?.states.map((state) => state.length)).toEqual([16, 16]);
      expect(scores.together).toEqual([]);
    }
    expect((await scoreQuiz(createScriptedEnsemble())).fit).toEqual([]);
    // What is learned from items is not told of them.
    expect((await scoreQuiz(createScriptedEnsemble(), { learn: true, split: "choose" })).fit).toEqual([]);
  });

  it("scores only what members say alone where the rest is not wanted", async () => {
    const { told, choosing } = await scoreQuiz(createScriptedEnsemble(), { together: false });
    for (const { scores } of [...told, ...choosing]) {
      expect(scores.alone).toHaveLength(2);
      expect(scores.together).toEqual([]);
    }
  });

  it("does not take what members say together under another map for these, but what they say alone", async () => {
    await scoreQuiz(createScriptedEnsemble());
    const scripted = createScriptedEnsemble();
    const members = scripted.space.members.map((member) => Object.assign({}, member, { weight: 0.4 }));
    const changed = { ...scripted, space: { ...scripted.space, members } };
    expect((await scoreQuiz(changed)).notes).toEqual([]);
    expect((await scoreQuiz(scripted)).notes[0]).toMatch(/^10 of 10 items/);
    const lines = (await readFile(scoresPath, "utf8")).trimEnd().split("\n");
    expect(lines.filter((line) => line.includes('"alone"'))).toHaveLength(10);
    expect(lines.filter((line) => line.includes('"together"'))).toHaveLength(20);
  });

  it.each(["my notes", "my notes\nand more\n", '{"a": 1}\n'])(
    "leaves a file alone that holds something else: %j",
    async (text) => {
      await writeFile(scoresPath, text);
      await expect(scoreQuiz(createScriptedEnsemble())).rejects.toThrow(/scores\.jsonl:1 holds no scores/);
      expect(await readFile(scoresPath, "utf8")).toBe(text);
    },
  );

  it("names a line that is damaged", async () => {
    await scoreQuiz(createScriptedEnsemble());
    const lines = (await readFile(scoresPath, "utf8")).split("\n");
    await writeFile(scoresPath, lines.with(2, "{}").join("\n"));
    await expect(scoreQuiz(createScriptedEnsemble())).rejects.toThrow(/scores\.jsonl:3 holds/);
  });
});

import { describe, expect, it } from "vitest";
import type { CorpusDocument } from "../../src/ensemble/corpus.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import {
  fitLimit,
  fitRoutes,
  textsOfEachDomain,
  type RoutedDocument,
} from "../../src/ensemble/fit-routes.ts";
import { decisionNats, relativeFertility, routeOf } from "../../src/ensemble/route.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedEnsemble } from "../scripted-ensemble.ts";
import { createByteTokenizer, createScriptedMember } from "../scripted-member.ts";

const bytes = createByteTokenizer();

describe("relative fertility", () => {
  it("is (a + 8) / (f + 8) of the tokens that both need", () => {
    expect(relativeFertility(bytes, createMergingTokenizer(["abcd"]), "abcdabcd")).toBe(16 / 10);
  });

  it("is 1 for an empty text, and for tokenizers that cut alike", () => {
    expect(relativeFertility(bytes, createMergingTokenizer(["abcd"]), "")).toBe(1);
    expect(relativeFertility(bytes, bytes, "Straße")).toBe(1);
  });
});

/** An anchor of bytes, and followers that know pieces of words. */
function ensembleOf(
  followers: readonly { id: string; pieces: readonly string[]; ratio?: number }[],
): Ensemble {
  const plain = createScriptedEnsemble();
  const members = followers.map(({ id, pieces }, i) =>
    createScriptedMember({ id, seed: i + 2, tokenizer: createMergingTokenizer(pieces) }),
  );
  return {
    ...plain,
    members: [plain.members[0], ...members],
    routes: followers.flatMap(({ id, ratio }) =>
      ratio === undefined ? [] : { member: id, ratio, share: 0.5 },
    ),
  };
}

const german = " langer Satz".repeat(4);
const words = [" langer", " Satz"];

/** Who answers the text when one follower knows one of its words, and another one both. */
function takenWith(few: number, many: number): string | undefined {
  const ensemble = ensembleOf([
    { id: "few", pieces: [" langer"], ratio: few },
    { id: "many", pieces: words, ratio: many },
  ]);
  return routeOf(ensemble, { kind: "text", text: german })?.member;
}

describe("a route", () => {
  it("is taken from its limit on, and says why", () => {
    const r = (48 + 8) / (8 + 8);
    const at = ensembleOf([{ id: "second", pieces: words, ratio: r }]);
    expect(routeOf(at, { kind: "text", text: german })).toEqual({
      member: "second",
      reason:
        "first needs 3.50 times the tokens that second needs for this text (8 added to both counts); " +
        "from 3.50 on that member answers alone",
    });
    const above = ensembleOf([{ id: "second", pieces: words, ratio: r + 1e-9 }]);
    expect(routeOf(above, { kind: "text", text: german })).toBeNull();
  });

  it("is never taken by a chat, nor by the anchor's token ids, nor without routes", () => {
    const ensemble = ensembleOf([{ id: "second", pieces: words, ratio: 1.5 }]);
    expect(routeOf(ensemble, { kind: "chat", messages: [{ role: "user", content: german }] })).toBeNull();
    expect(routeOf(ensemble, { kind: "tokens", tokens: [...bytes.encode(german).ids] })).toBeNull();
    expect(routeOf({ ...ensemble, routes: [] }, { kind: "text", text: german })).toBeNull();
  });

  it("goes to the follower that is furthest beyond its own limit", () => {
    // r is 56/32 = 1.75 for the one and 56/16 = 3.5 for the other.
    expect(takenWith(1.5, 1.5)).toBe("many");
    expect(takenWith(1.5, 3.4)).toBe("few");
    expect(takenWith(1.5, 3.6)).toBe("few");
    expect(takenWith(1.8, 3.6)).toBeUndefined();
  });

  it("costs what its share of the texts tells", () => {
    expect(decisionNats([], null)).toBe(0);
    const routes = [{ member: "second", ratio: 2, share: 0.25 }];
    expect(decisionNats(routes, "second")).toBeCloseTo(Math.log(4), 12);
    expect(decisionNats(routes, null)).toBeCloseTo(Math.log(4 / 3), 12);
  });
});

function group(rs: readonly number[], gain: number): RoutedDocument[] {
  return rs.map((r, i) => ({ r, fused: 300 + i, alone: 300 + i - gain }));
}

describe("the limit of a route", () => {
  const near = [0.95, 0.99, 1.02, 1.06, 1.1];
  const far = [1.4, 1.45, 1.52, 1.6, 1.7];

  it("lies in the middle of log r between a group that loses alone and one that gains", () => {
    expect(fitLimit([...group(near, -20), ...group(far, 100)])).toBeCloseTo(Math.sqrt(1.1 * 1.4), 12);
  });

  it("stays there when some near documents gain a little alone", () => {
    const documents = [...group(near, -20), ...group([1.08, 1.12], 8), ...group(far, 100)];
    expect(fitLimit(documents)).toBeCloseTo(Math.sqrt(1.12 * 1.4), 12);
  });

  it("lies below documents that together gain more than a twentieth of all", () => {
    const documents = [...group(near, -20), ...group([1.25], 60), ...group(far, 100)];
    expect(fitLimit(documents)).toBeCloseTo(Math.sqrt(1.1 * 1.25), 12);
  });

  it("does not depend on the documents' order", () => {
    const documents = [...group(far, 100), ...group(near, -20)];
    expect(fitLimit(documents.toReversed())).toBe(fitLimit(documents));
  });

  it.each<[string, RoutedDocument[]]>([
    ["there are no documents", []],
    ["fusing is better everywhere", [...group(near, -5), ...group(far, -20)]],
    ["there is no difference", [...group(near, 0), ...group(far, 0)]],
    ["what is gained does not pay for telling", [...group(near, -20), ...group(far, 1)]],
    ["the gain is that of two documents", [...group(near, -20), ...group(far.slice(0, 2), 100)]],
    ["one document has it all", [...group(near, -20), ...group(far, 1), ...group([1.8], 500)]],
    [
      "all documents have one r",
      group(
        Array.from({ length: 9 }, () => 1.5),
        100,
      ),
    ],
  ])("is never where %s", (_, documents) => {
    expect(fitLimit(documents)).toBe(Infinity);
  });
});

const document = (domain: string, text: string): CorpusDocument => ({
  domain,
  source: text,
  passages: [{ kind: "text", text }],
});
const chat: CorpusDocument = {
  domain: "chat",
  source: "chat",
  passages: [{ kind: "chat", messages: [{ role: "user", content: "Was?" }], answer: " Satz langer Satz" }],
};

describe("routes that are fitted", () => {
  const known = Array.from({ length: 6 }, (_, i) => document("known", " langer Satz".repeat(i + 2)));
  const unknown = Array.from({ length: 6 }, (_, i) => document("unknown", "to be or not".slice(i)));

  it("leave texts whose tokens a follower has whole to it, and no others", async () => {
    const ensemble = ensembleOf([{ id: "second", pieces: [" langer", " Satz"] }]);
    const routes = await fitRoutes({
      ensemble,
      documents: [...known, chat, ...unknown],
      clock: systemClock,
      progress: silentProgress,
    });
    expect(routes).toEqual([{ member: "second", ratio: expect.any(Number), share: 7 / 14 }]);
    const taken = (of: CorpusDocument) => {
      const [passage] = of.passages;
      return passage && routeOf({ ...ensemble, routes }, passage)?.member;
    };
    expect(known.map(taken)).toEqual(known.map(() => "second"));
    expect(unknown.map(taken)).toEqual(unknown.map(() => undefined));
  });

  it("are none where a follower cuts as the anchor does", async () => {
    const ensemble = ensembleOf([{ id: "second", pieces: [] }]);
    const options = { ensemble, clock: systemClock, progress: silentProgress };
    expect(await fitRoutes({ ...options, documents: [...known, ...unknown] })).toEqual([]);
  });

  it("are fitted on the same share of each domain's plain texts", () => {
    const many = Array.from({ length: 30 }, (_, i) => document("many", `${i % 10}23456789`));
    const few = Array.from({ length: 30 }, (_, i) => document("few", `${i % 10}abcdefgh`));
    const taken = textsOfEachDomain([...many, chat, ...few], 90, bytes, 1);
    expect(taken.map(({ domain }) => domain)).toEqual([
      ...Array.from({ length: 5 }, () => "many"),
      ...Array.from({ length: 5 }, () => "few"),
    ]);
    expect(textsOfEachDomain([...many, chat, ...few], 90, bytes, 1)).toEqual(taken);
  });
});

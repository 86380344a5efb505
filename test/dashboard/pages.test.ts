import { describe, expect, test } from "vitest";
import { testGateway } from "../gateway/harness.ts";
import { scriptedGateway } from "./scripted-gateway.ts";
import { HOSTILE, NOW, scriptedObservations } from "./scripted-observations.ts";
import { scriptedDesk, scriptedSources } from "./scripted-sources.ts";

const PATHS = [
  "/",
  "/disagreement",
  "/requests",
  "/requests/chatcmpl-0478",
  "/requests/chatcmpl-0479",
  "/layers",
  "/confidence",
  "/experiments",
  "/experiments/ensemble-or-gemma",
  "/probes",
  "/alerts",
];

const form = (fields: Record<string, string>, headers: Record<string, string> = {}) => ({
  method: "POST",
  body: new URLSearchParams(fields),
  headers: { host: "localhost", origin: "http://localhost", ...headers },
});

describe("the pages", () => {
  const app = scriptedGateway();

  test.each(PATHS)(
    "%s is a whole page that loads nothing from elsewhere and lets no markup through",
    async (path) => {
      const answer = await app.request(path);
      const html = await answer.text();
      expect(answer.status).toBe(200);
      expect(html).toMatch(/^<!doctype html><html lang="en">/i);
      expect(html).not.toContain("<script>alert");
      expect(html).not.toContain("<img src=x");
      expect(html).not.toMatch(/(?:src|href|action)="(?:https?:)?\/\//);
      expect(html).not.toMatch(/\sstyle="|\son[a-z]+="|NaN|undefined|\[object/);
      expect(html.match(/<h1/g)).toHaveLength(1);
      const policy = answer.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain("unsafe");
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
    },
  );

  test("every download that a page offers is there, as CSV and as JSON", async () => {
    let files = 0;
    for (const path of PATHS) {
      const html = await (await app.request(path)).text();
      for (const [, href] of html.matchAll(/href="([^"]*download=[^"]*)"/g)) {
        const address = (href ?? "").replaceAll("&amp;", "&");
        const answer = await app.request(address);
        expect(answer.status, address).toBe(200);
        expect(answer.headers.get("content-disposition")).toContain("attachment");
        const text = await answer.text();
        if (address.endsWith("json")) expect(JSON.parse(text)).toMatchObject({ object: "list" });
        else expect(text).toMatch(/^[a-z0-9_,]+\r\n/);
        files++;
      }
    }
    expect(files).toBeGreaterThan(30);
  });

  test("a formula in a prompt is text in a spreadsheet", async () => {
    const records = scriptedSources();
    const [first] = (
      await records.observations.answers({ range: { from: 0, to: NOW }, order: "time", limit: 1 })
    ).answers;
    if (first === undefined) throw new Error("no record");
    const record = { ...first, createdAt: NOW - 60_000, text: { prompt: '=HYPERLINK("x")', answer: "" } };
    const one = scriptedGateway({ observations: scriptedObservations({ records: [record] }) });
    const csv = await (await one.request("/requests?download=requests.csv")).text();
    expect(csv).toContain(`"'=HYPERLINK(""x"")"`);
  });

  test("a filter holds on the page, and in the links that lead on", async () => {
    const html = await (
      await app.request("/disagreement?range=6h&member=gemma-3-270m&min_divergence=0.1")
    ).text();
    expect(html).toContain("Member: gemma-3-270m");
    expect(html).toContain("/requests?range=6h&amp;member=gemma-3-270m&amp;min_divergence=0.1");
    expect(html).toContain("/requests?member=gemma-3-270m&amp;min_divergence=0.1&amp;from=");
  });

  test.each([
    ["/requests?order=sideways", "order: expected one of disagreement, time"],
    ["/disagreement?range=2h", "range: expected one of 1h"],
    ["/disagreement?from=2026-11-26T06:00", "to: expected both from and to"],
    [
      "/disagreement?from=2026-11-26T06:00&to=2026-11-26T06:00",
      "to: expected a time at least a minute after from",
    ],
    ["/disagreement?from=1999&to=2026-11-26", "from: expected a time such as"],
    ["/disagreement?min_divergence=-1", "min_divergence: expected a number of at least 0"],
    ["/requests?max_confidence=1.5", "max_confidence: expected a number from 0 to 1"],
    ["/requests?cursor=nowhere", "cursor: expected what the link to the next page has"],
    ["/requests?limit=5000", "limit: expected a whole number from 1 to 1000"],
    ["/probes?range=1h", "range: this page knows no parameters"],
    [`/requests?${encodeURIComponent(HOSTILE)}=1`, "this page knows only"],
    ["/requests?download=secrets.csv", "download: expected one of requests.csv"],
    ["/layers?pair=a", "pair: expected one of"],
  ])("%s is refused with a page that says why", async (address, why) => {
    const answer = await app.request(address);
    const html = await answer.text();
    expect(answer.status).toBe(400);
    expect(html).toContain(why);
    expect(html).not.toContain("<script>alert");
  });

  test("a request that the log has not is a page with 404", async () => {
    const answer = await app.request("/requests/%3Cb%3E");
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain("The log has no request &quot;&lt;b&gt;&quot;");
  });

  test("without the text only numbers are shown, and it is said how to keep text", async () => {
    const html = await (await app.request("/requests/chatcmpl-0479")).text();
    expect(html).toContain("Prompt and answer are not kept");
    expect(html).toContain("concord serve --keep-text");
    expect(html).not.toContain("Paris");
  });

  test("pages of the list hold every answer once", async () => {
    const seen: string[] = [];
    let address: string | undefined = "/requests?limit=200";
    while (address !== undefined) {
      const html: string = await (await app.request(address)).text();
      seen.push(...Array.from(html.matchAll(/aria-label="Request ([^"]+)"/g), ([, id]) => id ?? ""));
      address = /href="([^"]*cursor=[^"]*)" rel="next"/.exec(html)?.[1]?.replaceAll("&amp;", "&");
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeGreaterThan(470);
  });

  test.each(PATHS.filter((path) => !path.startsWith("/requests/") && !path.endsWith("gemma")))(
    "%s says what to do first where there is nothing yet",
    async (path) => {
      const empty = testGateway({
        observations: scriptedObservations({ records: [] }),
        clock: { now: () => NOW, monotonic: () => 0 },
      });
      const answer = await empty.request(path);
      const html = await answer.text();
      expect(answer.status).toBe(200);
      expect(html).not.toMatch(/NaN|undefined|Infinity/);
      expect(html).toMatch(/curl|concord |longer range|no experiments/);
    },
  );

  test("the API keeps its own errors, and what pages do not know is no page", async () => {
    const answer = await app.request("/nowhere");
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { code: "not_found" } });
  });

  test("without a log there is no dashboard", async () => {
    expect((await testGateway().request("/")).status).toBe(404);
  });
});

describe("the colours", () => {
  test("a choice is kept in a cookie, and leads back to the page and nowhere else", async () => {
    const app = scriptedGateway();
    const answer = await app.request("/theme", form({ theme: "dark", back: "/alerts?range=1h" }));
    expect(answer.status).toBe(303);
    expect(answer.headers.get("location")).toBe("/alerts?range=1h");
    const cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? "";
    const html = await (await app.request("/alerts", { headers: { cookie } })).text();
    expect(html).toContain('data-theme="dark"');
    for (const back of ["//elsewhere.test/", "https://elsewhere.test/", "/\\elsewhere.test", ""]) {
      const away = await app.request("/theme", form({ theme: "light", back }));
      expect(away.headers.get("location")).toBe("/");
    }
  });
});

describe("an experiment's buttons", () => {
  test("start, pause and stop it, from this site's pages only", async () => {
    const experiments = scriptedDesk();
    const app = scriptedGateway({ experiments });
    const path = "/experiments/ensemble-or-gemma";
    for (const headers of [{ origin: "http://elsewhere.test" }, { origin: "null" }, { origin: "" }]) {
      const answer = await app.request(`${path}/stop`, form({ winner: "fused" }, headers));
      expect(answer.status).toBe(403);
    }
    expect(experiments.moves).toEqual([]);
    expect((await app.request(`${path}/pause`, form({}))).headers.get("location")).toBe(path);
    expect(await (await app.request(path)).text()).toContain("Go on");
    await app.request(`${path}/start`, form({}));
    await app.request(`${path}/stop`, form({ winner: "fused" }));
    expect(experiments.moves).toEqual(["pause", "start", "stop fused"]);
    expect(await (await app.request(path)).text()).not.toContain("<button>Pause");
  });
});

describe("with an API key", () => {
  const apiKey = "a key for tests";
  const app = scriptedGateway({ apiKey });

  test("pages lead to the sign-in page, and a cookie that scripts cannot read opens them", async () => {
    const asked = await app.request("/disagreement?range=6h");
    expect(asked.status).toBe(303);
    expect(asked.headers.get("location")).toBe("/login?back=%2Fdisagreement%3Frange%3D6h");
    const wrong = await app.request("/login", form({ key: "guess", back: "/" }));
    expect(wrong.status).toBe(401);
    expect(wrong.headers.get("set-cookie")).toBeNull();
    const right = await app.request("/login", form({ key: apiKey, back: "/disagreement?range=6h" }));
    expect(right.headers.get("location")).toBe("/disagreement?range=6h");
    const set = right.headers.get("set-cookie") ?? "";
    expect(set).toMatch(/HttpOnly/);
    expect(set).toMatch(/SameSite=Lax/);
    expect(set).not.toContain(encodeURIComponent(apiKey));
    const cookie = set.split(";")[0] ?? "";
    expect((await app.request("/", { headers: { cookie } })).status).toBe(200);
    expect((await scriptedGateway({ apiKey: "another" }).request("/", { headers: { cookie } })).status).toBe(
      303,
    );
    const late = scriptedGateway({ apiKey, clock: { now: () => NOW + 13 * 3_600_000, monotonic: () => 0 } });
    expect((await late.request("/", { headers: { cookie } })).status).toBe(303);
    const [name, value = ""] = cookie.split("=");
    const forged = `${name}=9${value}`;
    expect((await app.request("/", { headers: { cookie: forged } })).status).toBe(303);
  });

  test("downloads and buttons need it too, and a bearer token will do", async () => {
    expect((await app.request("/requests?download=requests.csv")).status).toBe(401);
    const bearer = scriptedGateway({ apiKey: "key" });
    const headers = { authorization: "Bearer key" };
    expect((await bearer.request("/requests?download=requests.csv", { headers })).status).toBe(200);
    const experiments = scriptedDesk();
    const stopped = await scriptedGateway({ apiKey, experiments }).request(
      "/experiments/ensemble-or-gemma/stop",
      form({}),
    );
    expect(stopped.status).toBe(401);
    expect(experiments.moves).toEqual([]);
  });
});

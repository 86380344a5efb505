/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { Hono, type Context } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { GatewayError, type GatewayErrorCode } from "../ports/gateway-error.ts";
import { askToSignIn, createAccess, isSecure, refuseForeignForms, signInPage } from "./access.tsx";
import { localPath } from "./address.ts";
import { alertsPage } from "./alerts.tsx";
import { confidencePage } from "./confidence.tsx";
import { csvOf, jsonOf, type Dataset } from "./dataset.ts";
import { disagreementPage } from "./disagreement.tsx";
import { experimentPage, experimentsPage } from "./experiments.tsx";
import { layersPage } from "./layers.tsx";
import { ASSETS, document, Filters, Shell, THEMES, type Frame, type Theme } from "./layout.tsx";
import { nowPage } from "./now.tsx";
import type { Page } from "./page.ts";
import { probesPage } from "./probes.tsx";
import { requestPage } from "./request.tsx";
import { requestsPage } from "./requests.tsx";
import type { DashboardSources, ExperimentDesk } from "./sources.ts";
import { readView } from "./view.ts";

const ALL_PAGES: readonly Page[] = [
  nowPage,
  disagreementPage,
  requestsPage,
  requestPage,
  layersPage,
  confidencePage,
  experimentsPage,
  experimentPage,
  probesPage,
  alertsPage,
];

/** Everything that a page needs comes from here; nothing else is loaded, run or sent anywhere. */
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const THEME_COOKIE = "concord_theme";
const YEAR_SECONDS = 365 * 86_400;

const STATUSES: Partial<Record<GatewayErrorCode, ContentfulStatusCode>> = {
  invalid_request: 400,
  unauthorized: 401,
  not_found: 404,
  unknown_model: 404,
  method_not_allowed: 405,
  not_ready: 503,
  members_lost: 503,
};

/** The pages at `/`: what the log and the ensemble tell, made on the server; they work without scripts. */
export function createDashboard(sources: DashboardSources): Hono {
  const access = createAccess(sources.apiKey, sources.clock);
  const app = new Hono();

  app.onError((error, c) => {
    const { status, title, message } = asShown(error);
    if (status >= 500)
      (sources.onInternalError ?? tellFailure)(error, c.res.headers.get("x-request-id") ?? "");
    secure(c);
    const body = (
      <main class="login">
        <div class="card">
          <h1>{title}</h1>
          <p>{message}</p>
          <p>
            <a href="/">To the first page</a>
          </p>
        </div>
      </main>
    );
    return c.html(document({ title, theme: themeOf(c), body }), status);
  });

  for (const asset of ASSETS) {
    app.get(asset.path, (c) =>
      c.body(asset.text, 200, {
        "content-type": asset.type,
        "cache-control":
          c.req.query("v") === asset.version ? "public, max-age=31536000, immutable" : "no-cache",
        "x-content-type-options": "nosniff",
      }),
    );
  }

  for (const page of ALL_PAGES) {
    app.get(page.path, async (c) => {
      secure(c);
      if (!(await access.allows(c))) return askToSignIn(c);
      return show(c, page, sources, access.keyed);
    });
  }

  app.get("/login", (c) => {
    secure(c);
    return access.keyed
      ? c.html(signInPage(themeOf(c), c.req.query("back") ?? "/", false))
      : c.redirect("/", 303);
  });
  app.post("/login", refuseForeignForms, async (c) => {
    secure(c);
    const form = await formOf(c);
    if (await access.signIn(c, form["key"] ?? "")) return c.redirect(localPath(form["back"]), 303);
    return c.html(signInPage(themeOf(c), form["back"] ?? "/", true), 401);
  });
  app.post("/logout", refuseForeignForms, (c) => {
    access.signOut(c);
    return c.redirect("/login", 303);
  });
  app.post("/theme", refuseForeignForms, async (c) => {
    const form = await formOf(c);
    const theme = THEMES.find((one) => one === form["theme"]);
    if (theme === undefined) {
      throw new GatewayError("invalid_request", `theme: expected one of ${THEMES.join(", ")}.`, {
        param: "theme",
      });
    }
    setCookie(c, THEME_COOKIE, theme, {
      path: "/",
      maxAge: YEAR_SECONDS,
      sameSite: "Lax",
      httpOnly: true,
      secure: isSecure(c),
    });
    return c.redirect(localPath(form["back"]), 303);
  });

  const { experiments } = sources;
  if (experiments !== undefined) {
    const moves: Readonly<Record<string, (name: string, form: Form) => Promise<unknown>>> = {
      start: (name) => experiments.start(name),
      pause: (name) => experiments.pause(name),
      stop: (name, form) => stop(experiments, name, form),
    };
    for (const [verb, move] of Object.entries(moves)) {
      app.post(`/experiments/:name/${verb}`, refuseForeignForms, async (c) => {
        secure(c);
        if (!(await access.allows(c))) return askToSignIn(c);
        const name = c.req.param("name") ?? "";
        await move(name, await formOf(c));
        return c.redirect(`/experiments/${encodeURIComponent(name)}`, 303);
      });
    }
  }
  return app;
}

async function show(c: Context, page: Page, sources: DashboardSources, keyed: boolean): Promise<Response> {
  const url = new URL(c.req.url);
  const now = sources.clock.now();
  const view = readView(url, page, now);
  const size = await sources.observations.size();
  const content = await page.make({ view, sources, name: c.req.param("name") ?? "", size });
  const download = url.searchParams.get("download");
  if (download !== null) return sendData(c, download, content.data);
  const theme = themeOf(c);
  const frame: Frame = { theme, signedIn: keyed, here: `${url.pathname}${url.search}`, now, size };
  const body = (
    <Shell frame={frame} path={url.pathname}>
      <h1>{content.title}</h1>
      {content.lead === undefined ? null : <p class="lead">{content.lead}</p>}
      {page.controls === "none" ? null : <Filters view={view} filter={page.controls === "filter"} />}
      {content.live === true ? (
        <label class="live" id="live" hidden>
          <input type="checkbox" checked /> Read again every ten seconds
        </label>
      ) : null}
      <div id="content">{content.body}</div>
    </Shell>
  );
  return c.html(document({ title: content.title, theme, body }));
}

function sendData(c: Context, download: string, all: readonly Dataset[]): Response {
  const [name, format] = download.split(".");
  const data = all.find((one) => one.name === name);
  if (data === undefined || (format !== "csv" && format !== "json")) {
    const known = all.map((one) => `${one.name}.csv, ${one.name}.json`).join(", ");
    throw new GatewayError("invalid_request", `download: expected one of ${known}.`, { param: "download" });
  }
  const type = format === "csv" ? "text/csv; charset=utf-8" : "application/json";
  return c.body(format === "csv" ? csvOf(data) : jsonOf(data), 200, {
    "content-type": type,
    "content-disposition": `attachment; filename="concord-${data.name}.${format}"`,
  });
}

/** An arm that is named answers from now on; without one the control does. */
async function stop(experiments: ExperimentDesk, name: string, form: Form): Promise<void> {
  const winner = form["winner"] === undefined || form["winner"] === "" ? null : form["winner"];
  await experiments.stop(name, winner);
}

function secure(c: Context): void {
  c.header("content-security-policy", POLICY);
  c.header("x-content-type-options", "nosniff");
  c.header("x-frame-options", "DENY");
  c.header("referrer-policy", "same-origin");
  c.header("cache-control", "private, no-store");
}

function themeOf(c: Context): Theme {
  const cookie = getCookie(c, THEME_COOKIE);
  return THEMES.find((theme) => theme === cookie) ?? "system";
}

type Form = Readonly<Record<string, string | undefined>>;

/** A form's text fields. */
async function formOf(c: Context): Promise<Form> {
  const fields = await c.req.parseBody();
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}

function asShown(error: unknown): { status: ContentfulStatusCode; title: string; message: string } {
  if (error instanceof HTTPException && error.status === 403) {
    const message =
      "Forms are taken from this site's own pages only. Open the page here and press the button again.";
    return { status: 403, title: "Refused", message };
  }
  if (error instanceof GatewayError) {
    const status = STATUSES[error.code] ?? (error.code === "internal" ? 500 : 409);
    const titles: Partial<Record<number, string>> = {
      400: "This address asks for something unknown",
      401: "Sign in",
      404: "Not found",
    };
    return { status, title: titles[status] ?? "That did not work", message: error.message };
  }
  return {
    status: 500,
    title: "The page failed",
    message: "The gateway failed on this page. Try again; its log says why.",
  };
}

function tellFailure(error: unknown, requestId: string): void {
  console.error(`page ${requestId} failed:`, error);
}

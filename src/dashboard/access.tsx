/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { Context, MiddlewareHandler } from "hono";
import { deleteCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import { csrf } from "hono/csrf";
import { timingSafeEqual } from "hono/utils/buffer";
import type { Clock } from "../ports/clock.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { address, localPath } from "./address.ts";
import { document, type Theme } from "./layout.tsx";

const COOKIE = "concord_session";
const SESSION_SECONDS = 12 * 3600;

/** Who may see the pages: everybody without an API key, else who has shown it. */
export interface Access {
  readonly keyed: boolean;
  /** Whether this request may see pages. */
  allows(c: Context): Promise<boolean>;
  /** Begins a session when the key is right; tells whether it was. */
  signIn(c: Context, key: string): Promise<boolean>;
  signOut(c: Context): void;
}

/**
 * The session is a cookie with the time it ends at, signed with the key (HMAC SHA-256): nothing is kept here, and another
 * key ends all sessions. Scripts cannot read it, and other sites cannot send it along with a form.
 */
export function createAccess(apiKey: string | undefined, clock: Clock): Access {
  const seconds = (): number => Math.floor(clock.now() / 1000);
  return {
    keyed: apiKey !== undefined,
    async allows(c) {
      if (apiKey === undefined) return true;
      const bearer = /^bearer +(?<key>\S+) *$/i.exec(c.req.header("authorization") ?? "")?.groups?.["key"];
      if (bearer !== undefined) return timingSafeEqual(bearer, apiKey);
      const end = await getSignedCookie(c, apiKey, COOKIE);
      return typeof end === "string" && /^\d+$/.test(end) && Number(end) > seconds();
    },
    async signIn(c, key) {
      if (apiKey === undefined || !(await timingSafeEqual(key, apiKey))) return false;
      await setSignedCookie(c, COOKIE, String(seconds() + SESSION_SECONDS), apiKey, {
        httpOnly: true,
        sameSite: "Lax",
        path: "/",
        maxAge: SESSION_SECONDS,
        secure: isSecure(c),
      });
      return true;
    },
    signOut(c) {
      deleteCookie(c, COOKIE, { path: "/" });
    },
  };
}

/** Whether the browser came by TLS, to here or to a proxy in front. */
export function isSecure(c: Context): boolean {
  return c.req.url.startsWith("https:") || c.req.header("x-forwarded-proto") === "https";
}

/** Forms are taken from this site's own pages only, also behind a proxy that speaks TLS: the host has to be the same. */
export const refuseForeignForms: MiddlewareHandler = csrf({
  origin: (origin, c) => URL.canParse(origin) && new URL(origin).host === c.req.header("host"),
});

/** Sends a browser to the sign-in page and back afterwards; a download gets an error instead. */
export function askToSignIn(c: Context): Response {
  const url = new URL(c.req.url);
  if (url.searchParams.has("download") || c.req.method !== "GET") {
    throw new GatewayError(
      "unauthorized",
      "Sign in first at /login, or send the header Authorization: Bearer KEY with the gateway's API key.",
    );
  }
  return c.redirect(address("/login", { back: `${url.pathname}${url.search}` }), 303);
}

export function signInPage(theme: Theme, back: string, wrong: boolean) {
  return document({
    title: "Sign in",
    theme,
    body: (
      <main class="login">
        <form method="post" action="/login" class="card">
          <h1>Concord</h1>
          <p class="faint small">This gateway asks for its API key: what CONCORD_API_KEY is set to.</p>
          <input type="hidden" name="back" value={localPath(back)} />
          <label>
            API key
            <input
              type="password"
              name="key"
              required
              autofocus
              autocomplete="current-password"
              aria-invalid={wrong ? "true" : undefined}
              aria-describedby={wrong ? "wrong" : undefined}
            />
          </label>
          {wrong ? (
            <p id="wrong" role="alert" class="down">
              That is not the key that this gateway was started with.
            </p>
          ) : null}
          <button class="primary">Sign in</button>
        </form>
      </main>
    ),
  });
}

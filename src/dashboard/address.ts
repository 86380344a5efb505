/** What stands in a query string, by name; empty and absent are the same. */
export type Parameters = Readonly<Record<string, string | undefined>>;

/** A page's address with all of its state: parameters in the order given, the empty ones left out. */
export function address(path: string, ...parameters: readonly Parameters[]): string {
  const all = Object.entries(Object.assign({}, ...parameters) as Parameters);
  const query = new URLSearchParams(
    all.flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value]])),
  );
  return query.size === 0 ? path : `${path}?${query.toString()}`;
}

/** A path of this site and nothing else, or `/`: what a form may be sent back to. */
export function localPath(path: string | undefined): string {
  const base = "http://here.invalid";
  if (path === undefined || !path.startsWith("/") || !URL.canParse(path, base)) return "/";
  const url = new URL(path, base);
  return url.origin === base ? `${url.pathname}${url.search}` : "/";
}

/** Colours by what they are for: in light, and in dark. Text on `paper`, `surface` and `tint` has a contrast of at least 4.5. */
const COLOURS = {
  ink: ["#1b1f24", "#e7eaee"],
  faint: ["#59636e", "#9aa5b1"],
  paper: ["#f7f8f9", "#0e1116"],
  surface: ["#ffffff", "#151a21"],
  line: ["#dde2e7", "#2a323c"],
  accent: ["#0b62c4", "#5aa5f7"],
  tint: ["#e6f1fd", "#15263a"],
  second: ["#b54a00", "#f0883e"],
  third: ["#7b45c9", "#b48cf2"],
  fourth: ["#14785a", "#3fbf94"],
  good: ["#14785a", "#3fbf94"],
  bad: ["#b42318", "#ff8a80"],
} as const;

/** As CSS variables, `--ink` and so on: light or dark with the reader's setting, unless `data-theme` on the root says which. */
export const PALETTE_STYLE = [
  `:root{color-scheme:light dark;${variables(0)}}`,
  `@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${variables(1)}}}`,
  `:root[data-theme=light]{color-scheme:light}:root[data-theme=dark]{color-scheme:dark;${variables(1)}}`,
].join("\n");

/** What the charts' elements look like; needs the palette. */
export const CHART_STYLE = [
  "figure{margin:0}figcaption{font-size:13px;color:var(--faint)}",
  "svg text{font:11px system-ui,sans-serif;fill:var(--faint);font-variant-numeric:tabular-nums}.middle{text-anchor:middle}.end{text-anchor:end}",
  ".grid{stroke:var(--line)}.ideal{stroke:var(--faint);stroke-dasharray:4 4}.gap{stroke:var(--second);stroke-width:2}",
  ".dot{fill:var(--accent);fill-opacity:.75}.line{fill:none;stroke-width:2;stroke-linejoin:round;vector-effect:non-scaling-stroke}",
  ".line-0{stroke:var(--accent)}.line-1{stroke:var(--second);stroke-dasharray:6 3}.line-2{stroke:var(--third);stroke-dasharray:2 3}.line-3{stroke:var(--fourth);stroke-dasharray:9 3 2 3}",
  ".key{white-space:nowrap;margin-right:12px}.key svg{width:22px;height:8px;vertical-align:middle;margin-right:5px}",
].join("\n");

function variables(theme: 0 | 1): string {
  return Object.entries(COLOURS)
    .map(([name, colour]) => `--${name}:${colour[theme]}`)
    .join(";");
}

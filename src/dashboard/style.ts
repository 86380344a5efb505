import { RAMP_INKS, rampColour, rampInk } from "../charts/colour-ramp.ts";
import { CHART_STYLE, PALETTE_STYLE } from "../charts/palette.ts";

/** Steps of the heat map's colours from 0 to 1. */
export const HEAT_STEPS = 20;

/**
 * Grounds of a token by how far the members are apart, none first: amber that gets heavier, in lightness too, so that it
 * can be told apart without seeing colours.
 */
const LEVELS = {
  light: ["#ffffff", "#fdf1dc", "#fbdca8", "#f2b766", "#d98a2b", "#8f4609"],
  dark: ["#151a21", "#2c2418", "#4a371a", "#73501d", "#b9792a", "#f5b45f"],
};
export const DIVERGENCE_LEVELS = LEVELS.light.length;

const heat = Array.from({ length: HEAT_STEPS + 1 }, (_, i) => {
  const value = i / HEAT_STEPS;
  return `.h${i}{background:${rampColour(value)};color:${RAMP_INKS[rampInk(value)]}}`;
}).join("");

const levels = (theme: "light" | "dark", root: string): string =>
  LEVELS[theme]
    .map((ground, i) => {
      const heavy = theme === "light" ? i === 5 : i >= 4;
      const ink = heavy ? (theme === "light" ? "#ffffff" : "#14100a") : "var(--ink)";
      return `${root} .l${i}{background:${ground};color:${ink}}`;
    })
    .join("");

const LEVEL_STYLE = [
  levels("light", ":root"),
  `@media (prefers-color-scheme:dark){${levels("dark", ":root:not([data-theme=light])")}}`,
  levels("dark", ":root[data-theme=dark]"),
].join("\n");

/** All that the dashboard looks like. */
export const STYLE = `${PALETTE_STYLE}
${CHART_STYLE}
${heat}
${LEVEL_STYLE}
*{box-sizing:border-box}
html{scroll-padding-top:16px}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
a{color:var(--accent)}a:not(:hover){text-decoration-thickness:1px;text-underline-offset:2px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:12px;top:-60px;background:var(--surface);padding:8px 12px;z-index:9}.skip:focus{top:8px}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
pre{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:12px;overflow-x:auto;overflow-wrap:normal;margin:12px 0}
pre.text{white-space:pre-wrap;overflow-wrap:anywhere;max-height:320px;overflow-y:auto}
.faint{color:var(--faint)}small,.small{font-size:13px}
.shell{display:grid;grid-template-columns:208px minmax(0,1fr);min-height:100vh}
.rail{border-right:1px solid var(--line);background:var(--surface);padding:20px 12px;display:flex;flex-direction:column;gap:18px;position:sticky;top:0;height:100vh;overflow-y:auto}
.brand{display:flex;align-items:center;gap:9px;color:var(--ink);font-weight:650;font-size:17px;text-decoration:none;padding:0 8px;letter-spacing:-.01em}
.brand svg{width:24px;height:24px;flex:none}
nav ul{list-style:none;margin:0;padding:0;display:grid;gap:2px}
nav a{display:block;padding:6px 10px;border-radius:7px;color:var(--ink);text-decoration:none}
nav a:hover{background:var(--paper)}nav a[aria-current]{background:var(--tint);font-weight:600;box-shadow:inset 3px 0 0 var(--accent)}
.foot{margin-top:auto;display:grid;gap:10px;padding:0 8px}
main{padding:24px 28px 56px;max-width:1240px;width:100%;min-width:0}
h1{font-size:24px;line-height:1.25;margin:0 0 4px;letter-spacing:-.015em}
h2{font-size:16px;margin:0 0 10px;letter-spacing:-.005em}h3{font-size:14px;margin:14px 0 6px}
.lead{margin:0 0 16px;color:var(--faint);max-width:74ch}
.card{background:var(--surface);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:0 0 16px;min-width:0}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:16px}.grid2>.card{margin:0}.grid2{margin-bottom:16px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(168px,1fr));gap:12px;margin:0 0 16px;padding:0}
.tile{background:var(--surface);border:1px solid var(--line);border-radius:10px;padding:12px 14px 10px;margin:0;display:grid;gap:1px;align-content:start}
.tile dt{color:var(--faint);font-size:13px}.tile dd{margin:0}.tile .big{font-size:25px;line-height:1.25;font-weight:620;letter-spacing:-.02em}
.spark{display:block;width:100%;height:24px;margin-top:6px}.spark .line{stroke-width:1.5}
.bar-share{display:inline-block;width:56px;height:6px;vertical-align:middle;margin-left:8px;background:var(--line);border-radius:3px;overflow:hidden}.bar-share rect{fill:var(--accent)}
.filters{display:grid;grid-template-columns:minmax(0,1fr);gap:10px;margin:0 0 18px}
.ranges{display:flex;flex-wrap:wrap;gap:4px;align-items:center}
.ranges a{padding:3px 9px;border-radius:999px;color:var(--ink);text-decoration:none;border:1px solid transparent;font-size:14px}
.ranges a:hover{border-color:var(--line)}.ranges a[aria-current]{background:var(--tint);border-color:var(--accent);font-weight:600}
details>summary{cursor:pointer;color:var(--accent);width:max-content;max-width:100%;font-size:14px}
.fields{display:flex;flex-wrap:wrap;gap:10px 12px;align-items:end;padding-top:10px}
.fields label,.field{display:grid;gap:3px;font-size:13px;color:var(--faint)}
input,select,button,textarea{font:inherit;font-size:14px;color:var(--ink);background:var(--surface);border:1px solid var(--faint);border-radius:7px;padding:5px 9px;max-width:100%}
input[type=text]{width:168px}input[type=number]{width:96px}
button,.button{cursor:pointer;font-weight:550;background:var(--surface);color:var(--ink);text-decoration:none;display:inline-block}
button:hover{border-color:var(--accent)}button.primary{background:var(--accent);border-color:var(--accent);color:var(--surface)}button.danger{color:var(--bad);border-color:var(--bad)}
.segmented{display:flex;border:1px solid var(--faint);border-radius:7px;overflow:hidden;padding:0;margin:0;width:max-content}
.segmented button{border:0;border-radius:0;font-size:12px;padding:3px 9px;font-weight:500}.segmented button[aria-pressed=true]{background:var(--tint);font-weight:650;box-shadow:inset 0 -2px 0 var(--accent)}
.active{display:flex;flex-wrap:wrap;gap:6px;list-style:none;margin:0;padding:0}.active a{display:inline-flex;gap:6px;border:1px solid var(--line);background:var(--surface);color:var(--ink);border-radius:999px;padding:1px 10px;font-size:13px;text-decoration:none}
.scroll{overflow-x:auto;margin:0 -18px;padding:0 18px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:6px 12px 6px 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th{color:var(--faint);font-weight:550;font-size:13px;vertical-align:bottom}td.n,th.n{text-align:right}tr:last-child td{border-bottom:0}
tbody tr:hover{background:var(--paper)}td.wrap{white-space:normal;min-width:200px}
.downloads{font-size:13px;color:var(--faint);margin:10px 0 0;display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline}
.state{display:inline-flex;align-items:center;gap:6px;font-weight:550}.state svg{width:12px;height:12px;flex:none}
.up{color:var(--good)}.down{color:var(--bad)}.starting{color:var(--second)}
.badge{display:inline-block;border:1px solid var(--line);border-radius:999px;padding:0 8px;font-size:12.5px;color:var(--ink);background:var(--paper);white-space:nowrap}
.badge.warn{border-color:var(--second);color:var(--second)}.badge.bad{border-color:var(--bad);color:var(--bad)}.badge.good{border-color:var(--good);color:var(--good)}
.note{border-left:3px solid var(--accent);background:var(--tint);padding:9px 14px;border-radius:0 8px 8px 0;margin:0 0 16px}.note.warn{border-color:var(--second)}.note p{margin:0}
.empty{padding:10px 0}.empty h2{margin-bottom:4px}
.chart{display:block;overflow:visible}.chart text{paint-order:stroke;stroke:var(--surface);stroke-width:3px;stroke-linejoin:round}
.plot{position:relative}.slots{position:absolute;inset:0}.slot{fill:transparent}.slot:hover{fill:var(--accent);fill-opacity:.1}
.bar{fill:var(--accent)}.band{stroke:none;fill-opacity:.16}.band-0{fill:var(--accent)}.band-1{fill:var(--second)}.band-2{fill:var(--third)}.band-3{fill:var(--fourth)}
.lone-0{fill:var(--accent)}.lone-1{fill:var(--second)}.lone-2{fill:var(--third)}.lone-3{fill:var(--fourth)}
.mark line{stroke:var(--bad);stroke-dasharray:3 3}.mark circle{fill:var(--bad)}
.legend{margin:8px 0 0;font-size:13px;color:var(--faint)}.axis{margin:0 0 6px;font-size:12.5px;color:var(--faint)}
.squares{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,230px),1fr));gap:18px}.square>svg{width:100%;max-width:330px;height:auto;display:block}
.heat{width:auto;border-collapse:separate;border-spacing:2px;font-size:13px}.heat td,.heat th{border:0;padding:0 6px;height:32px;vertical-align:middle;text-align:center}.heat td{min-width:46px;border-radius:4px}.heat tr:hover{background:none}
.ramp{display:flex;align-items:center;gap:8px;font-size:12.5px;color:var(--faint);margin-top:10px}.ramp span.cells{display:flex}.ramp i{width:10px;height:12px}
.thumbs{display:flex;flex-wrap:wrap;gap:10px;list-style:none;margin:0;padding:0}.thumbs a{display:grid;gap:4px;padding:7px;border:1px solid var(--line);border-radius:8px;font-size:12px;text-decoration:none;color:var(--ink);justify-items:center}.thumbs a[aria-current]{border-color:var(--accent);background:var(--tint);font-weight:600}.thumbs svg{width:84px;height:56px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px 18px;margin:0}.facts dt{color:var(--faint);font-size:13px}.facts dd{margin:0;font-weight:550}
.strip{line-height:2.5;margin:0;padding:0;list-style:none;display:flex;flex-wrap:wrap;gap:4px 2px}
.tok{display:inline-grid;justify-items:center;padding:1px 4px 0;border-radius:4px;text-decoration:none;line-height:1.35;white-space:pre;font-size:15px;min-width:22px;border:1px solid var(--line)}
.tok small{font-size:11px}.tok:hover{border-color:var(--accent)}
.levels{display:flex;flex-wrap:wrap;gap:4px;align-items:center;font-size:12.5px;color:var(--faint);margin:10px 0 0}.levels span{padding:0 7px;border-radius:4px;border:1px solid var(--line)}
.tokens{list-style:none;margin:0;padding:0}.tokens>li{display:grid;grid-template-columns:150px repeat(auto-fit,minmax(210px,1fr));gap:8px 22px;padding:10px 0;border-top:1px solid var(--line)}.tokens>li:target{background:var(--tint);box-shadow:-18px 0 0 var(--tint),18px 0 0 var(--tint)}
.tokens .what{display:grid;gap:2px;align-content:start;justify-items:start}.tokens h3{margin:0 0 3px;font-size:13px;font-weight:600}
.choice{display:grid;grid-template-columns:minmax(70px,1fr) 74px 46px;gap:8px;align-items:center;font-size:13.5px}.choice .word{white-space:pre-wrap}.choice.taken .word{font-weight:700}.choice .bar-share{margin:0;width:100%}.choice .num{text-align:right}
.choices{list-style:none;margin:0;padding:0}
.pager{display:flex;gap:14px;margin-top:12px}
.buttons{display:flex;flex-wrap:wrap;gap:8px;align-items:center}.buttons form{display:flex;gap:8px;flex-wrap:wrap;align-items:center}
.login{max-width:400px;margin:12vh auto 0;padding:0 16px}.login .card{display:grid;gap:12px}.login label{display:grid;gap:4px}.login input{padding:8px 10px;width:100%}
.live{display:inline-flex;gap:6px;align-items:center;font-size:14px;color:var(--faint)}
@media (max-width:900px){
.shell{display:block}.rail{position:static;height:auto;border-right:0;border-bottom:1px solid var(--line);padding:12px 12px 10px;gap:10px;display:grid;grid-template-columns:1fr auto;align-items:center}
.rail nav{grid-column:1/-1;order:3}nav ul{grid-template-columns:repeat(auto-fit,minmax(80px,1fr))}nav a{padding:7px 2px;text-align:center;font-size:12.5px;overflow-wrap:normal}nav a[aria-current]{box-shadow:inset 0 -2px 0 var(--accent)}
.foot{margin:0;padding:0;display:flex;gap:8px;align-items:center}.size{display:none}
main{padding:18px 14px 48px}.card{padding:14px}.scroll{margin:0 -14px;padding:0 14px}.tiles{grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:8px}.tile .big{font-size:21px}
.tokens>li{grid-template-columns:1fr}.tokens>li:target{box-shadow:-14px 0 0 var(--tint),14px 0 0 var(--tint)}.tokens .what{grid-template-columns:auto auto 1fr;gap:10px;align-items:baseline}
.fields input:not([type=checkbox]),.fields label,.fields select{width:100%;min-width:0}.fields{display:grid;grid-template-columns:repeat(2,minmax(0,1fr))}.login input{width:100%}}
@media (forced-colors:active){.tok,.heat td{forced-color-adjust:none}}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
@media print{.rail,.filters,.downloads{display:none}.shell{display:block}}
`;

/** What pages do beyond what they are: everything works without. */
export const SCRIPT = `"use strict";
for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString() + " where you are";
}
for (const select of document.querySelectorAll("form.filter select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
const live = document.getElementById("live");
if (live) {
  const box = live.querySelector("input");
  live.hidden = false;
  setInterval(async () => {
    if (!box.checked || document.hidden || document.querySelector("details[open]")) return;
    if (document.activeElement && document.activeElement.closest("#content")) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
    if (next) document.getElementById("content").replaceChildren(...next.childNodes);
  }, 10000);
}
`;

/** Colour at 0, .25, .5, .75 and 1: pale yellow through green to deep blue, lightness falling evenly. */
const RAMP = [
  [253, 249, 220],
  [186, 224, 182],
  [92, 184, 186],
  [44, 118, 170],
  [24, 50, 112],
] as const;

/** Colours of numbers on the ramp: only black and white have a contrast of 4.5 with all of it. */
export const RAMP_INKS = { dark: "#000000", light: "#ffffff" } as const;

/** Up to this value black numbers stand out more than white ones. */
const DARK_INK_BELOW = 0.727;

/** `#rrggbb` of a value in [0, 1], by straight lines between the ramp's colours; a value outside is the nearer end. */
export function rampColour(value: number): string {
  const place = Math.min(1, Math.max(0, value)) * (RAMP.length - 1);
  const i = Math.min(RAMP.length - 2, Math.floor(place));
  const from = RAMP[i] ?? RAMP[0];
  const to = RAMP[i + 1] ?? from;
  const channels = from.map((low, c) => Math.round(low + (place - i) * ((to[c] ?? low) - low)));
  return `#${channels.map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}

/** Which ink is read best on that colour. */
export function rampInk(value: number): keyof typeof RAMP_INKS {
  return value < DARK_INK_BELOW ? "dark" : "light";
}

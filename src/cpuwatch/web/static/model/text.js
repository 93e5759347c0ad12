/** Formats numbers and names. Pure. */

/** Control and format characters: they can hide or reorder the text around them. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

export const UNKNOWN = "–";

export function visible(text) {
  return text.replace(INVISIBLE, escaped);
}

function escaped(character) {
  const short = { "\n": "\\n", "\t": "\\t", "\r": "\\r" }[character];
  if (short) return short;
  const code = character.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

export function shownName({ name }) {
  return name === null ? "(unknown)" : visible(name) || "(no name)";
}

/** One decimal below a thousand, none above: there it carries no information and takes up space. */
export function percent(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return value.toFixed(value < 999.95 ? 1 : 0);
}

/** Formats a number of CPUs, which quotas give in hundredths or less. */
export function cpus(value) {
  return `${Number(value.toFixed(2))} ${value === 1 ? "CPU" : "CPUs"}`;
}

export function wholeNumber(value) {
  return value === null ? UNKNOWN : String(value);
}

/** Formats seconds as top does: 0:07.25, 12:03, 3 h 12 m, 4 d 7 h. */
export function duration(seconds) {
  if (seconds === null) return UNKNOWN;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return `${minutes}:${(Math.floor((seconds - 60 * minutes) * 100) / 100).toFixed(2).padStart(5, "0")}`;
  if (minutes < 60) return `${minutes}:${String(Math.floor(seconds - 60 * minutes)).padStart(2, "0")}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function clock(milliseconds) {
  const date = new Date(milliseconds);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The time of day, or the date if it is more than a day ago. */
export function startedAt(milliseconds, now = Date.now()) {
  if (milliseconds === null) return UNKNOWN;
  if (now - milliseconds < 86_400_000) return clock(milliseconds);
  const date = new Date(milliseconds);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
}

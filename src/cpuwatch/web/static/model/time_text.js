/** Formats moments, ranges and the ticks of a time axis, in local time with its offset. Pure. */

import { clock } from "./text.js";

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30].map((count) => count * SECOND).concat(
  [1, 2, 5, 10, 15, 30].map((count) => count * MINUTE), [1, 2, 3, 6, 12].map((count) => count * HOUR),
  [1, 2, 7, 14, 28, 91, 364].map((count) => count * DAY));

const two = (number) => String(number).padStart(2, "0");

/** The offset of local time at this moment: UTC, UTC+1, UTC−3:30. */
export function zoneAt(milliseconds) {
  const minutes = -new Date(milliseconds).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${size % 60 ? `:${two(size % 60)}` : ""}`;
}

export function day(milliseconds) {
  const date = new Date(milliseconds);
  return `${date.getDate()} ${MONTHS[date.getMonth()]}`;
}

/** Thu 26 Nov 2026, 03:14:05 UTC+1 */
export function moment(milliseconds) {
  const date = new Date(milliseconds);
  return `${DAYS[date.getDay()]} ${day(milliseconds)} ${date.getFullYear()}, ${clock(milliseconds)} ${zoneAt(milliseconds)}`;
}

/** 26 Nov 03:14:05 UTC+1 */
export function dayAndClock(milliseconds) {
  return `${day(milliseconds)} ${clock(milliseconds)} ${zoneAt(milliseconds)}`;
}

const sameDay = (one, other) => new Date(one).toDateString() === new Date(other).toDateString();

/** 26 Nov 03:10 – 03:20 UTC+1, with seconds if there are any; `joint` is between the two times. */
export function range({ from, to }, joint = " – ") {
  const hasSeconds = [from, to].some((time) => new Date(time).getSeconds() !== 0);
  const text = (time) => (hasSeconds ? clock(time) : clock(time).slice(0, 5));
  const start = `${day(from)} ${text(from)}`;
  const zones = zoneAt(from) === zoneAt(to) ? ["", ` ${zoneAt(to)}`] : [` ${zoneAt(from)}`, ` ${zoneAt(to)}`];
  return `${start}${zones[0]}${joint}${sameDay(from, to) ? "" : `${day(to)} `}${text(to)}${zones[1]}`;
}

/** At most `count` round local times in the window: `{time, text}`. */
export function axisTicks({ from, to }, count) {
  const step = STEPS.find((size) => (to - from) / size <= count) ?? to - from;
  const ticks = [];
  for (let time = firstTick(from, step); time <= to; time = nextTick(time, step)) ticks.push({ time, text: tickText(time, step) });
  return ticks;
}

function firstTick(from, step) {
  const date = new Date(from);
  if (step < DAY) {
    const midnight = new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
    return midnight + Math.ceil((from - midnight) / step) * step;
  }
  const start = new Date(date.getFullYear(), date.getMonth(), date.getDate());
  if (start.getTime() < from) start.setDate(start.getDate() + 1);
  return start.getTime();
}

function nextTick(time, step) {
  if (step < DAY) return time + step;
  // Days have 23 or 25 hours when clocks change.
  const date = new Date(time);
  date.setDate(date.getDate() + Math.round(step / DAY));
  return date.getTime();
}

function tickText(time, step) {
  const text = clock(time);
  if (text === "00:00:00") return day(time);
  return step < MINUTE ? text : text.slice(0, 5);
}

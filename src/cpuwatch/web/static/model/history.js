/** The past of the machine: what is known of it, the window shown, and the points in that window. */

import { joined } from "./past_points.js";
import { spanOf, within } from "./time_window.js";

// Up to this span, the server has a point for each tick; beyond, one for each minute.
const MAX_TICKS_MS = 900_000;
const MARGIN = 0.25;
const MAX_POINTS = 2000;
const MIN_SLACK_MS = 30_000;

/** A zoom is null for everything, `{seconds}` for the last seconds, or `{from, to}`. */
export function windowOf(zoom, limits) {
  if (zoom === null) return limits;
  if (zoom.seconds === undefined) return within(zoom, limits);
  return within({ from: limits.to - zoom.seconds * 1000, to: limits.to }, limits);
}

/** The zoom that shows this window, and goes on to do so when there are new ticks if it ends with the newest one. */
export function zoomOf(view, limits) {
  if (view.from <= limits.from && view.to >= limits.to) return null;
  return view.to >= limits.to ? { seconds: Math.round(spanOf(view) / 1000) } : { from: Math.round(view.from), to: Math.round(view.to) };
}

export class History {
  constructor() {
    /** All that is recorded, `{from, to, points}`; null without a recording. */
    this.whole = null;
    /** The same for the window of the last answer. */
    this.part = null;
  }

  /** Takes an answer of the server, for everything or for a window. */
  take({ start, end, points }, isWhole) {
    const read = ({ begin, end: until, busy_percent: busy, exited_percent: exited, peak_percent: peak }) => ({
      begin: Date.parse(begin), end: Date.parse(until), busy, exited, peak,
    });
    // The start is just before the first tick, in microseconds.
    const answer = { from: Date.parse(start) + 1, to: Date.parse(end), points: points.map(read) };
    if (isWhole) this.whole = answer;
    this.part = answer;
  }

  /** From the first to the last known tick; null if there is none. */
  limits({ oldest, newest }) {
    const known = [];
    if (this.whole !== null) known.push(this.whole.from, this.whole.to);
    if (newest !== null) known.push(oldest.milliseconds, newest.milliseconds);
    return known.length ? { from: Math.min(...known), to: Math.max(...known) } : null;
  }

  /** What to request for this window, `{from, to, points}`; null if the points are there. `width` is in pixels. */
  missing(view, limits, width) {
    const span = spanOf(view);
    const slack = Math.max(MIN_SLACK_MS, span * 0.02);
    const { part } = this;
    if (part !== null) {
      const covers = view.from >= Math.max(part.from, limits.from) - 1 && view.to <= part.to + slack;
      const isFine = spanOf(part) <= MAX_TICKS_MS || (span > MAX_TICKS_MS && spanOf(part) <= span * (2 + 4 * MARGIN));
      if (covers && isFine) return null;
    }
    const wider = Math.min(span * (1 + 2 * MARGIN), span > MAX_TICKS_MS ? Infinity : MAX_TICKS_MS);
    const middle = (view.from + view.to) / 2;
    const { from, to } = within({ from: middle - wider / 2, to: middle + wider / 2 }, limits);
    return { from: Math.floor(from), to: Math.ceil(to), points: Math.min(MAX_POINTS, Math.max(10, Math.round((width * wider) / span))) };
  }

  /** The points of all that is known, finest in the window of the last answer, with those of the ticks in memory. */
  points({ ticks }) {
    const { whole, part } = this;
    if (part === null) return joined([], ticks);
    if (part === whole || whole === null) return joined(part.points, ticks);
    const first = part.points[0]?.begin ?? part.from;
    const last = part.points.at(-1)?.end ?? part.to;
    return joined([...whole.points.filter(({ end }) => end <= first), ...part.points, ...whole.points.filter(({ begin }) => begin >= last)], ticks);
  }
}

/** Which moment the page shows: now, or one of the past. And which window of the past the chart shows. */

import { History, windowOf, zoomOf } from "./model/history.js";
import { SERIES_TICKS } from "./model/series.js";
import { around, zoomed } from "./model/time_window.js";

const ZOOM_FACTOR = 2;
// The past of a moment is read only when the user stays there for this long.
const PAST_DELAY_MS = 300;
const MAX_GAP_INTERVALS = 3;
const PAST_FIELDS = "fields=key,cpu_percent&min_percent=0.2";

const iso = (milliseconds) => new Date(milliseconds).toISOString();

export class Moments {
  /** `page` has the state of the address, `change(part)`, the inbox, the feed and `note(text)`. */
  constructor(page, hasRecording) {
    this.page = page;
    this.hasRecording = hasRecording;
    /** The table of the moment shown; null while the page is live. */
    this.frozen = null;
    /** The moment that was requested, `{milliseconds, path, isStep}`, or null. */
    this.wanted = null;
    this.history = new History();
    this.requested = "";
    this.pastDelay = 0;
  }

  get timeline() {
    return this.page.inbox.timeline;
  }

  get limits() {
    return this.history.limits(this.timeline);
  }

  /** The window in the chart; null while nothing is known. */
  get window() {
    const { limits } = this;
    return limits && windowOf(this.page.state.zoom, limits);
  }

  /** The time shown or requested, in milliseconds; null while the page is live. */
  get shown() {
    if (this.wanted && !(this.wanted.isStep && this.wanted.path === this.arrived)) return this.wanted.milliseconds;
    return this.frozen ? Date.parse(this.frozen.head.time) : null;
  }

  get intervalMs() {
    return (this.page.table.head?.interval_seconds ?? 1) * 1000;
  }

  /** The requested time if nothing was recorded then, otherwise null. */
  get missed() {
    if (!this.frozen || !this.wanted || this.wanted.isStep || this.wanted.path !== this.arrived) return null;
    const distance = Math.abs(this.wanted.milliseconds - Date.parse(this.frozen.head.time));
    return distance > MAX_GAP_INTERVALS * this.intervalMs ? this.wanted.milliseconds : null;
  }

  /** The address changed. */
  follow({ at }) {
    if (at === null) this.live();
    else if (this.frozen?.head.time !== at) this.find(at);
  }

  /** Requests all that is recorded. */
  start() {
    if (this.hasRecording) this.page.feed.request("timeline", `cpu_usage/timeline?points=${this.page.chartWidth}`);
    if (this.hasRecording && this.page.state.at && !this.frozen) this.find(this.page.state.at);
  }

  live() {
    this.frozen = null;
    this.wanted = null;
  }

  pause() {
    this.frozen = this.page.inbox.live.copy();
    this.wanted = null;
  }

  goTo(milliseconds, isStep = false) {
    const { limits } = this;
    if (limits === null || !this.page.inbox.live.head) return;
    const time = Math.max(limits.from, Math.min(limits.to, milliseconds));
    const tick = this.timeline.nearest(time, this.intervalMs);
    this.want(tick?.milliseconds ?? time, tick?.time ?? iso(time), isStep);
  }

  /** `isStep`: the time is not one that the user chose, so it does not matter whether something was recorded then. */
  want(milliseconds, time, isStep = false) {
    this.wanted = { milliseconds, isStep, path: `cpu_usage?at=${encodeURIComponent(time)}` };
    this.frozen ??= this.page.inbox.live.copy();
    const { window, limits } = this;
    const moved = around(window, milliseconds, limits);
    if (moved !== window) this.page.change({ zoom: zoomOf(moved, limits) });
    this.page.feed.request("moment", this.wanted.path);
    this.page.paintSoon();
  }

  /** Goes one tick back or forward. */
  step(ticks) {
    const from = this.shown;
    const known = this.timeline.step(from ?? this.timeline.newest?.milliseconds, ticks);
    if (known) this.want(known.milliseconds, known.time);
    else if (from !== null && ticks > 0 && from >= (this.timeline.newest?.milliseconds ?? Infinity)) this.page.goLive();
    else if (this.hasRecording) this.goTo(this.neighbor(from ?? this.limits.to, ticks), true);
  }

  /** A time whose latest tick is the one before or after the moment shown, which may be one that was only requested. */
  neighbor(from, ticks) {
    const isTick = this.frozen !== null && (this.wanted === null || this.wanted.path === this.arrived);
    const base = isTick ? Date.parse(this.frozen.head.time) : from;
    if (ticks < 0) return base - this.intervalMs * (isTick ? 0.5 : 1);
    const next = base + this.intervalMs * (isTick ? 1.5 : 1);
    const points = this.history.points(this.timeline);
    const isCovered = points.some(({ begin, end }) => begin < next && base < end);
    const beyond = isCovered ? undefined : points.find(({ begin }) => begin >= base);
    return beyond ? beyond.begin + 1.5 * this.intervalMs : next;
  }

  /** Goes to the moment in the address. */
  find(at) {
    const milliseconds = Date.parse(at);
    const tick = this.timeline.nearest(milliseconds);
    if (tick) this.want(tick.milliseconds, tick.milliseconds === milliseconds ? at : tick.time);
    else if (this.hasRecording) {
      this.wanted = { milliseconds, path: `cpu_usage?at=${encodeURIComponent(at)}` };
      this.page.feed.request("moment", this.wanted.path);
    } else this.lost();
  }

  lost() {
    this.page.goLive();
    this.page.note("The server no longer has the moment in the address. The page is live.");
  }

  /** A requested snapshot arrived. While the user drags, it may not be the newest one requested. */
  arrive(table, path) {
    if (this.wanted === null) return;
    this.frozen = table;
    const { live } = this.page.inbox;
    const isInMemory = this.timeline.oldest?.sequence <= table.sequence && live.head?.sampling.run === table.head.sampling.run;
    if (isInMemory) table.adoptSeries(live);
    table.oldest = isInMemory ? this.timeline.oldest.sequence : table.sequence;
    if (path === this.wanted.path) {
      this.arrived = path;
      this.page.change({ at: table.head.time });
      clearTimeout(this.pastDelay);
      if (!isInMemory) this.pastDelay = setTimeout(() => this.requestPast(table), PAST_DELAY_MS);
    }
    this.page.paintSoon();
  }

  requestPast(table) {
    if (table !== this.frozen) return;
    const to = Date.parse(table.head.time) + 1;
    const from = to - SERIES_TICKS * this.intervalMs;
    this.pastPath = `cpu_usage/history?from=${encodeURIComponent(iso(from))}&to=${encodeURIComponent(iso(to))}&${PAST_FIELDS}`;
    this.page.feed.request("moment_past", this.pastPath);
  }

  /** The past of the processes of the moment shown arrived. */
  arrivePast({ path, first, pasts, ticks }) {
    if (path !== this.pastPath || this.frozen === null || first === null) return;
    this.frozen.fillPast(first, pasts);
    this.frozen.oldest = Math.min(this.frozen.oldest, first);
    this.page.paintSoon();
  }

  arriveTimeline(timeline, path) {
    this.history.take(timeline, !path.includes("from="));
    this.page.paintSoon();
  }

  fail(path) {
    if (path !== this.wanted?.path) return;
    if (this.page.state.at && !this.arrived) this.lost();
    else this.page.note("The server no longer has this moment.");
  }

  /** Requests the points that the window lacks, once. */
  load() {
    if (!this.hasRecording || this.history.whole === null) return;
    const missing = this.history.missing(this.window, this.limits, this.page.chartWidth);
    if (missing === null) return;
    const path = `cpu_usage/timeline?from=${iso(missing.from)}&to=${iso(missing.to)}&points=${missing.points}`;
    if (path !== this.requested) this.page.feed.request("timeline", path);
    this.requested = path;
  }

  zoomTo(window) {
    const { limits } = this;
    if (limits) this.page.change({ zoom: zoomOf(window, limits) });
  }

  /** Zooms in or out around the moment shown. */
  zoom(direction) {
    const { window, limits } = this;
    if (window) this.zoomTo(zoomed(window, direction > 0 ? 1 / ZOOM_FACTOR : ZOOM_FACTOR, this.shown ?? window.to, limits));
  }
}

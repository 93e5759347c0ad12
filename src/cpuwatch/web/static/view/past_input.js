/** Moving, zooming and selecting in the chart of the past: by mouse, wheel, touch and key. */

import { byId, setAttribute } from "./dom.js";
import { between, panned, zoomed } from "../model/time_window.js";

const MIN_DRAG_PIXELS = 5;
const MIN_RANGE_PIXELS = 2;
const WHEEL_ZOOM = 1.0018;
const LINE_PIXELS = 20;
const KEY_STEPS = 100;
const PAGE_STEPS = 4;
// In shorter windows, a key press moves by one tick.
const MAX_TICK_STEP_MS = 900_000;
const DIRECTIONS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
const PAGES = { PageDown: -1, PageUp: 1 };

export class PastInput {
  /**
   * `past` has `window`, `limits` and `shown`. `on`: goTo(milliseconds), step(ticks), zoomTo(window), zoom(direction),
   * brush(range) while a range is drawn, and select(range) at its end.
   */
  constructor(past, on, { canSelect }) {
    this.past = past;
    this.on = on;
    this.canSelect = canSelect;
    this.isSelecting = false;
    this.pointers = new Map();
    this.gesture = null;
    this.anchor = null;
    this.strip = byId("strip");
    const listen = (type, handler) => this.strip.addEventListener(type, (event) => this.past.window && handler(event), { passive: false });
    listen("pointerdown", (event) => this.press(event));
    listen("pointermove", (event) => this.move(event));
    listen("pointerup", (event) => this.release(event));
    listen("pointercancel", (event) => this.cancel(event));
    listen("wheel", (event) => this.turn(event));
    listen("keydown", (event) => this.key(event));
    byId("scrub").addEventListener("input", ({ target }) => on.goTo(Number(target.value)));
    byId("select-range").addEventListener("click", () => this.setSelecting(!this.isSelecting));
    byId("zoom-in").addEventListener("click", () => on.zoom(1));
    byId("zoom-out").addEventListener("click", () => on.zoom(-1));
  }

  setSelecting(isSelecting) {
    this.isSelecting = isSelecting;
    setAttribute(byId("select-range"), "aria-pressed", String(isSelecting));
  }

  timeAt(clientX) {
    const { left, width } = this.strip.getBoundingClientRect();
    const { from, to } = this.past.window;
    return from + Math.max(0, Math.min(1, (clientX - left) / width)) * (to - from);
  }

  press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    byId("scrub").focus({ preventScroll: true });
    this.strip.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event.clientX);
    if (this.pointers.size === 2) this.gesture = { kind: "pinch", window: this.past.window, times: [...this.pointers.values()].map((x) => this.timeAt(x)) };
    else if (this.pointers.size === 1) this.begin(event);
  }

  begin(event) {
    const start = this.timeAt(event.clientX);
    const isRange = this.canSelect && (event.shiftKey || this.isSelecting);
    // A second finger may follow, so a touch takes effect when it moves or ends.
    const hasBegun = event.pointerType !== "touch";
    this.gesture = { kind: isRange ? "range" : "moment", start, x: event.clientX, hasBegun: hasBegun && !isRange };
    if (this.gesture.hasBegun) this.on.goTo(start);
  }

  move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    this.pointers.set(event.pointerId, event.clientX);
    const { gesture } = this;
    if (gesture?.kind === "pinch") {
      this.pinch(gesture);
      return;
    }
    if (gesture === null) return;
    gesture.hasBegun ||= Math.abs(event.clientX - gesture.x) >= (gesture.kind === "range" ? MIN_RANGE_PIXELS : MIN_DRAG_PIXELS);
    if (!gesture.hasBegun) return;
    const time = this.timeAt(event.clientX);
    if (gesture.kind === "range") this.on.brush(between(gesture.start, time));
    else this.on.goTo(time);
  }

  /** Keeps the times under the two fingers. */
  pinch({ times: [one, other] }) {
    const { left, width } = this.strip.getBoundingClientRect();
    const [first, second] = [...this.pointers.values()].map((x) => (x - left) / width);
    if (Math.abs(first - second) * width < MIN_DRAG_PIXELS) return;
    const span = (one - other) / (first - second);
    if (!(span > 0)) return;
    const from = one - first * span;
    this.on.zoomTo(zoomed({ from, to: from + span }, 1, from + span / 2, this.past.limits));
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { gesture } = this;
    // The other finger of a pinch must not move the moment.
    this.gesture = null;
    if (gesture === null || gesture.kind === "pinch") return;
    const time = this.timeAt(event.clientX);
    if (gesture.kind === "moment") {
      if (!gesture.hasBegun) this.on.goTo(time);
    } else if (gesture.hasBegun) {
      this.setSelecting(false);
      this.on.select(between(gesture.start, time));
    } else {
      this.on.goTo(time);
    }
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.gesture = null;
  }

  turn(event) {
    if (event.ctrlKey || event.metaKey) return;
    const { window, limits } = this.past;
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1;
    const [across, down] = event.shiftKey ? [event.deltaX || event.deltaY, 0] : [event.deltaX, event.deltaY];
    event.preventDefault();
    if (Math.abs(across) > Math.abs(down)) {
      this.on.zoomTo(panned(window, (across * unit * (window.to - window.from)) / this.strip.clientWidth, limits));
    } else {
      this.on.zoomTo(zoomed(window, WHEEL_ZOOM ** (down * unit), this.timeAt(event.clientX), limits));
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { window, shown } = this.past;
    const span = window.to - window.from;
    const direction = DIRECTIONS[event.key];
    let target = null;
    if (direction) target = (shown ?? window.to) + direction * Math.max(1000, span / KEY_STEPS);
    else if (event.key in PAGES) target = (shown ?? window.to) + (PAGES[event.key] * span) / PAGE_STEPS;
    else if (event.key === "Home") target = window.from;
    else if (event.key === "End") target = window.to;
    else return;
    event.preventDefault();
    if (event.shiftKey && this.canSelect) this.extend(shown ?? window.to, target);
    else {
      this.anchor = null;
      if (direction && span <= MAX_TICK_STEP_MS) this.on.step(direction);
      else this.on.goTo(target);
    }
  }

  /** Extends the range from where Shift was pressed first. */
  extend(from, target) {
    const { limits } = this.past;
    this.anchor ??= from;
    const end = Math.max(limits.from, Math.min(limits.to, target));
    this.on.goTo(end);
    if (end !== this.anchor) this.on.select(between(this.anchor, end));
  }
}

/** The chart of the past: how busy the machine was, the moment shown and the range that is ranked. */

import { byId, element, setAttribute, setText, svgElement } from "./dom.js";
import { outline, pointAt } from "../model/past_points.js";
import { percent } from "../model/text.js";
import { axisTicks, moment, range } from "../model/time_text.js";

const WIDTH = 1000;
const LABEL_PIXELS = 76;
const MARGIN_PIXELS = 18;

export class PastChart {
  /** `onResize()`: the chart needs to be shown again. */
  constructor(onResize) {
    this.selection = svgElement("rect", { class: "selection", y: "-4", height: "108" });
    this.peak = svgElement("path", { class: "peak" });
    this.area = svgElement("path", { class: "area" });
    this.exited = svgElement("path", { class: "exited" });
    this.line = svgElement("path", { class: "line" });
    this.grid = svgElement("path", { class: "grid" });
    byId("past").append(this.grid, this.peak, this.area, this.exited, this.line, this.selection);
    setAttribute(byId("past"), "viewBox", `0 -4 ${WIDTH} 108`);
    this.labels = [];
    this.width = byId("strip").clientWidth;
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      onResize();
    }).observe(byId("strip"));
  }

  /** `shown` is the moment in milliseconds, null while live; `selected` the range or null. */
  show({ window, points, shown, missed, selected, isZoomed }) {
    const span = Math.max(1, window.to - window.from);
    const x = (time) => ((time - window.from) / span) * WIDTH;
    const visible = points.filter(({ begin, end }) => end >= window.from && begin <= window.to);
    const busy = outline(visible, "busy", x);
    setAttribute(this.line, "d", busy.line);
    setAttribute(this.area, "d", busy.area);
    setAttribute(this.exited, "d", outline(visible, "exited", x).area);
    setAttribute(this.peak, "d", outline(visible, "peak", x).area);
    this.showAxis(window, x);
    setText(byId("past-span"), `${range(window)}${isZoomed ? " (zoomed)" : ""}`);
    this.showMark(shown === null ? null : x(shown));
    this.showSelection(selected, x);
    this.showSlider(window, points, shown, missed);
  }

  // Places are set by transforms: a change of `left` would be a layout shift.

  showMark(place) {
    const mark = byId("moment-mark");
    mark.hidden = place === null || place < 0 || place > WIDTH;
    if (!mark.hidden) mark.style.transform = `translateX(${this.pixels(place)})`;
  }

  pixels(place) {
    return `${((place / WIDTH) * this.width).toFixed(1)}px`;
  }

  showSelection(selected, x) {
    const inside = (time) => Math.max(0, Math.min(WIDTH, x(time)));
    const [from, to] = selected === null ? [0, 0] : [inside(selected.from), inside(selected.to)];
    setAttribute(this.selection, "x", from.toFixed(2));
    setAttribute(this.selection, "width", (to - from).toFixed(2));
  }

  showSlider(window, points, shown, missed) {
    const scrub = byId("scrub");
    setAttribute(scrub, "min", String(window.from));
    setAttribute(scrub, "max", String(window.to));
    scrub.value = String(shown ?? window.to);
    const point = shown === null ? null : pointAt(points, shown);
    const text = shown === null ? "live" : `${moment(shown)}, ${point && missed === null ? `${percent(point.busy)} % busy` : "not recorded"}`;
    setAttribute(scrub, "aria-valuetext", text);
  }

  showAxis(window, x) {
    const ticks = axisTicks(window, Math.max(2, Math.floor(this.width / LABEL_PIXELS)));
    setAttribute(this.grid, "d", ticks.map(({ time }) => `M${x(time).toFixed(1)},-4V104`).join(""));
    while (this.labels.length < ticks.length) this.labels.push(byId("axis").appendChild(element("span")));
    this.labels.forEach((label, index) => {
      const tick = ticks[index];
      label.hidden = tick === undefined;
      if (tick === undefined) return;
      setText(label, tick.text);
      const place = x(tick.time);
      label.style.transform = `translateX(calc(${this.pixels(place)} - 50%))`;
      // A label at an edge would be cut off.
      const margin = (MARGIN_PIXELS / this.width) * WIDTH;
      label.style.visibility = place < margin || place > WIDTH - margin ? "hidden" : "";
    });
  }
}

/** A line chart over time, as SVG. */

import { svgElement } from "./dom.js";
import { clock } from "../model/text.js";

const WIDTH = 320;
const HEIGHT = 120;
// Wide enough for "50000 %".
const LEFT = 52;
const BOTTOM = 18;
const TOP = 6;

/** A round number at or above the highest value. */
export function roundTop(highest) {
  for (let step = 1; ; step *= 10) for (const factor of [1, 2, 5]) if (factor * step >= highest) return factor * step;
}

/** `values` are one per tick, `interval` milliseconds apart; the last one is at `end`, in milliseconds. */
export function chart(values, end, interval, label) {
  const top = roundTop(Math.max(10, ...values));
  const x = (index) => LEFT + (index / Math.max(1, values.length - 1)) * (WIDTH - LEFT - 4);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label });
  for (const value of [0, top / 2, top]) {
    svg.append(
      svgElement("line", { class: "grid", x1: LEFT, x2: WIDTH - 4, y1: y(value), y2: y(value) }),
      svgElement("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end", text: `${value} %` }),
    );
  }
  const last = values.length - 1;
  for (const [index, anchor] of [[0, "start"], [last, "end"]]) {
    const text = clock(end - (last - index) * interval);
    svg.append(svgElement("text", { x: x(index), y: HEIGHT - 4, "text-anchor": anchor, text }));
  }
  const points = Array.from(values, (value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`);
  svg.append(
    svgElement("polygon", { class: "area", points: `${x(0)},${y(0)} ${points.join(" ")} ${x(last)},${y(0)}` }),
    svgElement("polyline", { class: "line", points: points.join(" ") }),
  );
  return svg;
}

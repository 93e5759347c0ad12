/** One row of the table in the document, which shows one process after another. */

import { COLUMNS } from "../model/columns.js";
import { attributeSlot, element, svgElement, textSlot } from "./dom.js";
import { valuesOf } from "../model/series.js";
import { SPARK_HEIGHT, SPARK_TICKS, sparkPath } from "./sparkline.js";
import { shownName, UNKNOWN, visible } from "../model/text.js";

const MOST_INDENTED = 24;
const HOT_PERCENT = 50;

export class RowView {
  constructor() {
    this.id = null;
    this.element = element("tr", { role: "row" });
    this.place = attributeSlot(this.element, "aria-rowindex");
    this.look = attributeSlot(this.element, "class");
    this.texts = [];
    for (const column of COLUMNS) {
      const cell = element("td", { role: "cell", class: `${column.kind} p${column.priority} c-${column.key}` });
      if (column.key === "name") this.makeName(cell);
      else if (column.kind === "past") this.makePast(cell);
      else this.texts.push({ column, slot: textSlot(cell) });
      this.element.append(cell);
    }
  }

  makeName(cell) {
    const name = element("bdi");
    const many = element("span", { class: "many" });
    const indent = element("span", { class: "indent" });
    // A button, as a finger that comes near is taken to mean the nearest one; keys have the arrows for it.
    this.twist = element("button", { type: "button", class: "twist", tabindex: "-1", "aria-hidden": "true" });
    this.button = element("button", { type: "button", class: "name" }, name, many);
    cell.append(element("div", { class: "named" }, indent, this.twist, this.button));
    this.name = textSlot(name);
    this.many = textSlot(many);
    this.sign = textSlot(this.twist);
    this.expanded = attributeSlot(this.button, "aria-expanded");
    this.stop = attributeSlot(this.button, "tabindex");
    this.depth = attributeSlot(indent, "class");
  }

  makePast(cell) {
    const path = svgElement("path");
    cell.append(svgElement("svg", { viewBox: `0 0 ${SPARK_TICKS} ${SPARK_HEIGHT}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" }, path));
    this.past = attributeSlot(path, "d");
  }

  show(row, index, { scale, open, view, sequence, oldest }) {
    this.id = row.id;
    this.place.set(index + 2);
    const fading = row.kind === "ended" || row.kind === "gone";
    this.look.set(`${row.kind}${fading ? ` fade${Math.min(5, row.age)}` : ""}${row.id === open ? " open" : ""}${row.cpu_percent >= HOT_PERCENT ? " hot" : ""}`);
    for (const { column, slot } of this.texts) {
      const text = column.text(row, scale);
      slot.set(text === null ? UNKNOWN : column.kind === "number" ? text : visible(text));
    }
    this.name.set(shownName(row));
    this.many.set((row.kind === "group" || row.kind === "ended") && row.count !== null ? ` ×${row.count}` : "");
    this.past.set(sparkPath(valuesOf(row, sequence, SPARK_TICKS, oldest)));
    // Depth and branch mean something in a tree only.
    const branch = view === "tree" ? row.branch : "";
    this.expanded.set(branch ? String(branch === "open") : null);
    this.sign.set(branch === "open" ? "▾" : branch === "closed" ? "▸" : "");
    this.depth.set(view === "tree" ? `indent depth${Math.min(row.depth, MOST_INDENTED)}` : "indent");
  }
}

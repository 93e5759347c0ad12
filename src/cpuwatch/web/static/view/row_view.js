/** One row of the table in the document. It is reused for one process after another. */

import { classOf, COLUMNS } from "./columns.js";
import { attributeSlot, element, svgElement, textSlot } from "./dom.js";
import { valuesOf } from "../model/series.js";
import { SPARK_HEIGHT, SPARK_TICKS, sparkPath } from "./sparkline.js";
import { shownName, UNKNOWN, visible } from "../model/text.js";

const MAX_INDENT = 24;
const HOT_PERCENT = 50;
const DENIED = ["throttled", "crowded", "stolen"];

export class RowView {
  constructor() {
    this.id = null;
    this.element = element("tr", { role: "row" });
    this.index = attributeSlot(this.element, "aria-rowindex");
    this.className = attributeSlot(this.element, "class");
    this.texts = [];
    for (const column of COLUMNS) {
      const cell = element("td", { role: "cell", class: classOf(column) });
      if (column.key === "name") this.makeName(cell);
      else if (column.kind === "past") this.makePast(cell);
      else this.texts.push({ column, slot: textSlot(cell) });
      this.element.append(cell);
    }
  }

  makeName(cell) {
    const name = element("bdi");
    const count = element("span", { class: "many" });
    const indent = element("span", { class: "indent" });
    // A button, because browsers direct a near miss of a finger to the nearest one. Keys use the arrows instead.
    this.twist = element("button", { type: "button", class: "twist", tabindex: "-1", "aria-hidden": "true" });
    this.button = element("button", { type: "button", class: "name" }, name, count);
    cell.append(element("div", { class: "named" }, indent, this.twist, this.button));
    this.name = textSlot(name);
    this.count = textSlot(count);
    this.twistSign = textSlot(this.twist);
    this.expanded = attributeSlot(this.button, "aria-expanded");
    this.tabStop = attributeSlot(this.button, "tabindex");
    this.depth = attributeSlot(indent, "class");
  }

  makePast(cell) {
    const path = svgElement("path");
    cell.append(svgElement("svg", { viewBox: `0 0 ${SPARK_TICKS} ${SPARK_HEIGHT}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" }, path));
    this.past = attributeSlot(path, "d");
  }

  show(row, index, { scale, open, isTree, sequence, oldest }) {
    this.id = row.id;
    this.index.set(index + 2);
    const fading = row.kind === "exited" || row.kind === "gone";
    this.className.set(`${row.kind}${fading ? ` fade${Math.min(5, row.age)}` : ""}${row.id === open ? " open" : ""}${row.total_percent >= HOT_PERCENT ? " hot" : ""}${DENIED.includes(row.verdict) ? " denied" : ""}`);
    for (const { column, slot } of this.texts) {
      const text = column.text(row, scale);
      slot.set(text === null ? UNKNOWN : column.kind === "number" ? text : visible(text));
    }
    this.name.set(shownName(row));
    this.count.set(countOf(row));
    this.past.set(sparkPath(valuesOf(row, sequence, SPARK_TICKS, oldest)));
    // Depth and branch have a meaning only in a tree.
    const branch = isTree ? row.branch : "";
    this.expanded.set(branch ? String(branch === "open") : null);
    this.twistSign.set(branch === "open" ? "▾" : branch === "closed" ? "▸" : "");
    this.depth.set(isTree ? `indent depth${Math.min(row.depth, MAX_INDENT)}` : "indent");
  }
}

/** The number of processes in a row, and for exited ones their parent. */
function countOf({ kind, count, parentName, ppid }) {
  if (kind !== "group" && kind !== "exited") return "";
  const times = count === null ? "" : ` ×${count}`;
  return kind === "group" || ppid === null ? times : `${times} from ${shownName({ name: parentName })} ${ppid}`;
}

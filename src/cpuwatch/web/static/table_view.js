/** The table in the document: only the rows that can be seen, changed in place. */

import { COLUMNS } from "./columns.js";
import { byId, element, setAttribute, setText, svgElement } from "./dom.js";
import { valuesOf } from "./series.js";
import { SPARK_HEIGHT, SPARK_TICKS, sparkPath } from "./sparkline.js";
import { shownName, UNKNOWN, visible } from "./text.js";
import { windowOf } from "./virtual_list.js";

export class TableView {
  /** `on`: sort(key), open(row), branch(row, isOpen) and release(), which is called when rows may move again. */
  constructor(on) {
    this.on = on;
    this.scroller = byId("rows");
    this.table = byId("table");
    this.headings = COLUMNS.map((column) => this.heading(column));
    this.table.tHead.replaceChildren(element("tr", { "aria-rowindex": 1 }, ...this.headings));
    this.above = spacer();
    this.below = spacer();
    this.body = this.table.tBodies[0];
    this.body.replaceChildren(this.above, this.below);
    this.pool = [];
    this.rows = [];
    this.options = { scale: 1, sequence: 0 };
    this.current = null;
    this.pointed = false;
    this.scroller.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.paint()).observe(this.scroller);
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("focusin", (event) => this.focusedOn(event.target));
    this.body.addEventListener("keydown", (event) => this.key(event));
    // A finger leaves no pointer behind that could rest on a row.
    this.body.addEventListener("pointerenter", (event) => (this.pointed = event.pointerType === "mouse"));
    this.body.addEventListener("pointerleave", () => {
      this.pointed = false;
      on.release();
    });
    this.body.addEventListener("focusout", () => setTimeout(() => this.held || on.release()));
  }

  /** Whether somebody is about to take hold of a row. */
  get held() {
    return this.pointed || this.body.contains(document.activeElement);
  }

  heading(column) {
    const cell = element("th", { scope: "col", class: `${column.kind} p${column.priority} c-${column.key}`, title: column.title });
    if (column.kind === "past") cell.textContent = column.label;
    else {
      cell.append(element("button", { type: "button", onclick: () => this.on.sort(column.key) }, element("span", { text: column.label })));
    }
    return cell;
  }

  show(rows, options) {
    this.rows = rows;
    this.options = options;
    COLUMNS.forEach((column, index) => {
      const sorted = column.key === options.sort;
      const cell = this.headings[index];
      if (sorted) setAttribute(cell, "aria-sort", options.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    setAttribute(this.table, "aria-rowcount", String(rows.length + 1));
    this.table.classList.toggle("tree", options.view === "tree");
    if (!rows.some((row) => row.id === this.current)) this.current = rows[0]?.id ?? null;
    this.paint();
  }

  paint() {
    const height = this.rowHeight();
    const head = this.table.tHead.offsetHeight;
    const { first, last, above, below } = windowOf(
      this.rows.length, height, this.scroller.scrollTop, Math.max(height, this.scroller.clientHeight - head),
    );
    const focused = this.body.contains(document.activeElement);
    const count = last - first;
    while (this.pool.length < count) {
      const made = newRow();
      this.pool.push(made);
      this.below.before(made.row);
    }
    while (this.pool.length > count) this.pool.pop().row.remove();
    setHeight(this.above, above);
    setHeight(this.below, below);
    for (let index = first; index < last; index += 1) this.fill(this.pool[index - first], this.rows[index], index);
    if (focused) this.focusCurrent(false);
  }

  rowHeight() {
    return this.pool.length > 0 ? this.pool[0].row.offsetHeight || 28 : 28;
  }

  fill(parts, row, index) {
    const { scale, open } = this.options;
    parts.id = row.id;
    setAttribute(parts.row, "aria-rowindex", String(index + 2));
    const fading = row.kind === "ended" || row.kind === "gone";
    setAttribute(parts.row, "class", `${row.kind}${fading ? ` fade${Math.min(5, row.age)}` : ""}${row.id === open ? " open" : ""}${row.cpu_percent >= 50 ? " hot" : ""}`);
    COLUMNS.forEach((column, at) => {
      const cell = parts.cells[at];
      if (column.key === "name") this.fillName(parts, row);
      else if (column.key === "past") fillPast(parts, row, this.options);
      else {
        const text = column.text(row, scale);
        if (column.kind === "number") setText(cell, text);
        else setText(cell.firstChild, text === null ? UNKNOWN : visible(text));
      }
    });
  }

  fillName(parts, row) {
    setText(parts.name, shownName(row));
    const many = row.kind === "group" ? ` ×${row.count}` : row.kind === "ended" && row.count !== null ? ` ×${row.count}` : "";
    setText(parts.count, many);
    setAttribute(parts.button, "tabindex", row.id === this.current ? "0" : "-1");
    // Depth and branch mean something in a tree only.
    const branch = this.options.view === "tree" ? row.branch : "";
    if (branch) setAttribute(parts.button, "aria-expanded", String(branch === "open"));
    else parts.button.removeAttribute("aria-expanded");
    setText(parts.twist, branch === "open" ? "▾" : branch === "closed" ? "▸" : "");
    const indent = this.options.view === "tree" ? `${Math.min(row.depth, 24) * 0.9}rem` : "0rem";
    if (parts.indent.style.width !== indent) parts.indent.style.width = indent;
  }

  clicked(event) {
    const parts = this.pool.find(({ row }) => row.contains(event.target));
    const row = parts && this.rows.find(({ id }) => id === parts.id);
    if (!row) return;
    this.current = row.id;
    if (event.target === parts.twist && this.options.view === "tree" && row.branch) this.on.branch(row, row.branch !== "open");
    else this.on.open(row);
  }

  focusedOn(target) {
    const parts = this.pool.find(({ button }) => button === target);
    if (!parts || parts.id === this.current) return;
    this.current = parts.id;
    for (const { button, id } of this.pool) setAttribute(button, "tabindex", id === this.current ? "0" : "-1");
  }

  key(event) {
    const at = this.rows.findIndex(({ id }) => id === this.current);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight()) - 2);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.rows.length - 1 };
    const branch = this.options.view === "tree" ? this.rows[at]?.branch : "";
    if (event.key in steps) {
      this.moveTo(steps[event.key]);
    } else if (event.key === "ArrowRight" && branch === "closed") {
      this.on.branch(this.rows[at], true);
    } else if (event.key === "ArrowLeft" && branch === "open") {
      this.on.branch(this.rows[at], false);
    } else return;
    event.preventDefault();
  }

  moveTo(index) {
    const at = Math.max(0, Math.min(this.rows.length - 1, index));
    if (this.rows.length === 0) return;
    this.current = this.rows[at].id;
    const height = this.rowHeight();
    const head = this.table.tHead.offsetHeight;
    const top = at * height;
    const room = this.scroller.clientHeight - head - height;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
    this.paint();
    this.focusCurrent(true);
  }

  focusCurrent(always) {
    const parts = this.pool.find(({ id }) => id === this.current);
    if (parts && (always || document.activeElement !== parts.button)) parts.button.focus({ preventScroll: true });
  }
}

function newRow() {
  const parts = { row: element("tr"), cells: [], id: null };
  for (const column of COLUMNS) {
    const cell = element("td", { class: `${column.kind} p${column.priority} c-${column.key}` });
    if (column.key === "name") {
      parts.indent = element("span", { class: "indent" });
      parts.twist = element("span", { class: "twist", "aria-hidden": "true" });
      parts.name = element("bdi");
      parts.count = element("span", { class: "many" });
      parts.button = element("button", { type: "button", class: "name" }, parts.name, parts.count);
      cell.append(element("div", { class: "named" }, parts.indent, parts.twist, parts.button));
    } else if (column.kind === "past") {
      parts.path = svgElement("path");
      cell.append(
        svgElement("svg", { viewBox: `0 0 ${SPARK_TICKS} ${SPARK_HEIGHT}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" }, parts.path),
      );
    } else if (column.kind === "text") cell.append(element("bdi"));
    parts.cells.push(cell);
  }
  parts.row.append(...parts.cells);
  return parts;
}

function fillPast(parts, row, { sequence, oldest }) {
  const path = sparkPath(valuesOf(row, sequence, SPARK_TICKS, oldest));
  setAttribute(parts.path, "d", path);
}

function spacer() {
  return element("tr", { class: "spacer", "aria-hidden": "true" }, element("td"));
}

function setHeight(row, pixels) {
  const height = `${pixels}px`;
  if (row.firstChild.style.height !== height) row.firstChild.style.height = height;
}

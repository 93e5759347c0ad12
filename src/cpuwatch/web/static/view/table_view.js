/** The table in the document. It keeps only the visible rows and changes them in place. */

import { classOf, COLUMNS } from "./columns.js";
import { byId, element, setAttribute } from "./dom.js";
import { RowView } from "./row_view.js";
import { windowOf } from "./virtual_list.js";

// Per frame: a new row costs as much as updating ten existing ones.
const MAX_NEW_ROWS = 8;
const CLICK_DELAY_MS = 300;

export class TableView {
  /** `on`: sort(key), open(row), branch(row, isOpen), and release(), called when rows may move again. */
  constructor(on) {
    this.on = on;
    this.scroller = byId("rows");
    this.table = byId("table");
    // Laying out each row separately takes a third less time than a table layout. Roles keep the table's semantics.
    this.table.classList.add("rowwise");
    this.table.setAttribute("role", "table");
    for (const group of [this.table.tHead, this.table.tBodies[0]]) group.setAttribute("role", "rowgroup");
    this.headings = COLUMNS.map((column) => this.heading(column));
    this.table.tHead.replaceChildren(element("tr", { role: "row", "aria-rowindex": 1 }, ...this.headings));
    this.above = spacer();
    this.below = spacer();
    this.body = this.table.tBodies[0];
    this.body.replaceChildren(this.above, this.below);
    this.pool = [];
    this.rows = [];
    this.options = { scale: 1, sequence: 0 };
    this.current = null;
    this.hovered = false;
    this.scroller.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.paint()).observe(this.scroller);
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("focusin", (event) => this.focusIn(event.target));
    this.body.addEventListener("keydown", (event) => this.key(event));
    // A finger leaves no pointer over a row, and the focus that it sets stays until the next key or touch.
    this.touched = false;
    document.addEventListener("pointerdown", (event) => (this.touched = event.pointerType === "touch"));
    document.addEventListener("keydown", () => (this.touched = false));
    // From the touch until its click, the rows below the finger stay.
    this.pressed = false;
    this.body.addEventListener("pointerdown", () => (this.pressed = true));
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => this.lift());
    this.body.addEventListener("pointerenter", (event) => (this.hovered = event.pointerType === "mouse"));
    this.body.addEventListener("pointerleave", () => {
      this.hovered = false;
      on.release();
    });
    this.body.addEventListener("focusout", () => setTimeout(() => this.held || on.release()));
  }

  /** Whether the user is about to act on a row, so that rows must not move. */
  get held() {
    return this.hovered || this.pressed || (!this.touched && this.body.contains(document.activeElement));
  }

  lift() {
    if (!this.pressed) return;
    setTimeout(() => {
      this.pressed = false;
      if (!this.held) this.on.release();
    }, CLICK_DELAY_MS);
  }

  heading(column) {
    const cell = element("th", { role: "columnheader", class: classOf(column), title: column.title });
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
    this.table.classList.toggle("tree", options.isTree);
    this.table.classList.toggle("units", options.view === "unit");
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
    for (let added = 0; this.pool.length < count && added < MAX_NEW_ROWS; added += 1) {
      const view = new RowView();
      this.pool.push(view);
      this.below.before(view.element);
    }
    while (this.pool.length > count) this.pool.pop().element.remove();
    setHeight(this.above, above);
    setHeight(this.below, below);
    for (let index = first; index < Math.min(last, first + this.pool.length); index += 1) {
      const view = this.pool[index - first];
      view.show(this.rows[index], index, this.options);
      view.tabStop.set(view.id === this.current ? "0" : "-1");
    }
    if (focused) this.focusCurrent(false);
    if (this.pool.length < count) requestAnimationFrame(() => this.paint());
  }

  rowHeight() {
    return this.pool.length > 0 ? this.pool[0].element.offsetHeight || 28 : 28;
  }

  click(event) {
    const view = this.pool.find(({ element: one }) => one.contains(event.target));
    const row = view && this.rows.find(({ id }) => id === view.id);
    if (!row) return;
    this.current = row.id;
    if (event.target === view.twist && this.options.isTree && row.branch) this.on.branch(row, row.branch !== "open");
    else this.on.open(row);
  }

  focusIn(target) {
    const view = this.pool.find(({ button }) => button === target);
    if (!view || view.id === this.current) return;
    this.current = view.id;
    for (const { tabStop, id } of this.pool) tabStop.set(id === this.current ? "0" : "-1");
  }

  key(event) {
    const at = this.rows.findIndex(({ id }) => id === this.current);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight()) - 2);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.rows.length - 1 };
    const branch = this.options.isTree ? this.rows[at]?.branch : "";
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
    const visible = this.scroller.clientHeight - head - height;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + visible) this.scroller.scrollTop = top - visible;
    this.paint();
    this.focusCurrent(true);
  }

  focusCurrent(always) {
    const view = this.pool.find(({ id }) => id === this.current);
    if (view && (always || document.activeElement !== view.button)) view.button.focus({ preventScroll: true });
  }
}

function spacer() {
  return element("tr", { class: "spacer", "aria-hidden": "true" }, element("td"));
}

function setHeight(row, pixels) {
  const height = `${pixels}px`;
  if (row.firstChild.style.height !== height) row.firstChild.style.height = height;
}

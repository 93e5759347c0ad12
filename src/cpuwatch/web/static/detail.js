/** One process: what is known of it, its last minutes, its parents and its children. */

import { chart } from "./chart.js";
import { byId, element, textSlot } from "./dom.js";
import { SERIES_TICKS, valuesOf } from "./series.js";
import { clock, duration, percent, shownName, startedAt, UNKNOWN, visible } from "./text.js";

const MOST_CHILDREN = 30;

export class Detail {
  /** `onOpen(key)` shows another process, `onClose()` none. */
  constructor(onOpen, onClose) {
    this.onOpen = onOpen;
    this.panel = byId("detail");
    const name = element("bdi");
    this.title = element("h2", { id: "detail-title" }, name);
    this.name = textSlot(name);
    this.which = textSlot(this.title);
    this.close = element("button", { type: "button", class: "close", onclick: onClose }, "Close ", element("kbd", { text: "Esc" }));
    this.facts = element("dl", { class: "facts" });
    this.plot = element("div");
    this.kin = element("div", { class: "kin" });
    this.panel.append(element("div", { class: "detail-head" }, this.title, this.close), this.plot, this.facts, this.kin);
    this.shown = "";
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  hide() {
    this.panel.hidden = true;
    this.shown = "";
  }

  show(row, table, scale, oldest) {
    this.panel.hidden = false;
    const ended = row.kind !== "process";
    this.name.set(shownName(row));
    this.which.set(` · ${row.pid}${ended ? " · ended" : ""}`);
    this.panel.setAttribute("aria-label", `Process ${row.pid}`);
    const count = Math.max(2, Math.min(SERIES_TICKS, table.sequence - oldest + 1));
    const values = valuesOf(row, table.sequence, count, oldest).map((value) => value * scale || 0);
    const interval = table.head.interval_seconds * 1000;
    this.plot.replaceChildren(
      chart(values, Date.parse(table.head.time), interval, `CPU use of ${row.pid} over the last minutes, now ${percent(row.cpu_percent)} per cent`),
    );
    this.showFacts(row, scale);
    this.showKin(row, table, scale);
  }

  showFacts(row, scale) {
    const scaled = (value) => (value === null ? UNKNOWN : `${percent(value * scale)} %`);
    const facts = [
      ["CPU", scaled(row.cpu_percent)],
      ["User, system", `${scaled(row.user_percent)}, ${scaled(row.system_percent)}`],
      ["Ended children", scaled(row.children_percent)],
      ["CPU time", duration(row.cpu_seconds)],
      ["User", row.user === null ? UNKNOWN : visible(row.user)],
      ["State", row.state ?? UNKNOWN],
      ["Threads", row.threads === null ? UNKNOWN : String(row.threads)],
      ["Started", `${startedAt(row.started)} · first seen ${row.firstSeen ? clock(Date.parse(row.firstSeen)) : UNKNOWN}`],
      ["Cgroup", row.cgroup === null ? UNKNOWN : visible(row.cgroup)],
    ];
    this.facts.replaceChildren(
      ...facts.map(([name, text]) => element("div", {}, element("dt", { text: name }), element("dd", {}, element("bdi", { text })))),
    );
  }

  showKin(row, table, scale) {
    const parents = [];
    for (let at = table.byPid.get(row.ppid); at && parents.length < 20 && !parents.includes(at); at = table.byPid.get(at.ppid)) parents.push(at);
    const children = [...table.rows.values()].filter((other) => other.ppid === row.pid && other !== row);
    children.sort((a, b) => (b.cpu_percent ?? 0) - (a.cpu_percent ?? 0) || a.pid - b.pid);
    const use = (other) => `${percent(other.cpu_percent === null ? null : other.cpu_percent * scale)} %`;
    const named = (other) => [other.id, shownName(other), use(other)];
    const signature = JSON.stringify([row.id, parents.map(named), children.slice(0, MOST_CHILDREN).map(named), children.length]);
    if (signature === this.shown) return;
    this.shown = signature;
    const focused = this.kin.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const list = (title, rows, note) => [
      element("h3", { text: title }),
      rows.length > 0 ? element("ul", {}, ...rows.map((other) => element("li", {}, this.link(other, use(other))))) : element("p", { class: "note", text: note }),
    ];
    const more = children.length > MOST_CHILDREN ? [element("p", { class: "note", text: `and ${children.length - MOST_CHILDREN} more` })] : [];
    this.kin.replaceChildren(
      ...list("Parents", parents, "none that is known"),
      ...list(`Children${children.length ? ` (${children.length})` : ""}`, children.slice(0, MOST_CHILDREN), "none"),
      ...more,
    );
    if (focused) [...this.kin.querySelectorAll("button")].find((button) => button.dataset.key === focused)?.focus();
  }

  link(row, use) {
    const name = element("bdi", { text: shownName(row) });
    return element("button", { type: "button", class: "link", "data-key": row.id, onclick: () => this.onOpen(row.id) }, `${row.pid} `, name, ` ${use}`);
  }
}

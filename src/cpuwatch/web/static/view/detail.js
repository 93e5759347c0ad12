/** The panel of one process: its figures, its last minutes, its parents and its children. */

import { chart } from "./chart.js";
import { CrowdList } from "./crowd_list.js";
import { byId, element, textSlot } from "./dom.js";
import { Relatives } from "./relatives.js";
import { verdictText } from "../model/verdict.js";
import { SERIES_TICKS, valuesOf } from "../model/series.js";
import { duration, percent, shownName, startedAt, UNKNOWN, visible, wholeNumber } from "../model/text.js";

const MAX_PARENTS = 20;
const MAX_CHILDREN = 30;

const known = (value, text) => (value === null ? UNKNOWN : text(value));

const FACTS = [
  ["Total", (row, use) => use(row.total_percent)],
  ["CPU", (row, use) => use(row.cpu_percent)],
  ["User, system", (row, use) => `${use(row.user_percent)}, ${use(row.system_percent)}`],
  ["Exited", (row, use) => use(row.exited_percent)],
  ["Waiting for a CPU", (row, use) => use(row.wait_percent)],
  ["Throttled", (row, use) => use(row.throttled_percent)],
  ["Verdict", verdictText],
  ["CPU time", (row) => duration(row.cpu_seconds)],
  ["User", (row) => known(row.user, visible)],
  ["State", (row) => row.state ?? UNKNOWN],
  ["Threads", (row) => wholeNumber(row.threads)],
  ["Started", (row) => `${startedAt(row.start_time)} · first seen ${startedAt(row.first_seen)}`],
  ["Cgroup", (row) => known(row.cgroup, visible)],
];

export class Detail {
  /** `threads` are those of the process, `onOpen(key)` opens another process, `onClose()` closes the panel. */
  constructor(threads, onOpen, onClose) {
    this.threads = threads;
    this.panel = byId("detail");
    const name = element("bdi");
    this.title = element("h2", { id: "detail-title" }, name);
    this.name = textSlot(name);
    this.suffix = textSlot(this.title);
    this.close = element("button", { type: "button", class: "close", onclick: onClose }, "Close ", element("kbd", { text: "Esc" }));
    // The elements stay, so that their text can be selected, and only changed values trigger layout.
    this.facts = FACTS.map(([label, text]) => {
      const value = element("bdi");
      return { text, slot: textSlot(value), element: element("div", {}, element("dt", { text: label }), element("dd", {}, value)) };
    });
    this.plot = element("div");
    this.crowd = new CrowdList(onOpen);
    this.parents = new Relatives(() => "Parents", "unknown", onOpen);
    this.children = new Relatives((count) => `Children${count ? ` (${count})` : ""}`, "none", onOpen);
    this.panel.append(
      element("div", { class: "detail-head" }, this.title, this.close),
      this.plot,
      element("dl", { class: "facts" }, ...this.facts.map((fact) => fact.element)),
      threads.view.element,
      element("div", { class: "kin" }, ...this.parents.nodes, ...this.children.nodes),
      this.crowd.element,
    );
  }

  hide() {
    this.panel.hidden = true;
    this.threads.stop();
  }

  show(row, table, { scale, oldest, isNow }) {
    this.panel.hidden = false;
    this.threads.follow(row, isNow, scale);
    const exited = row.kind !== "process";
    this.name.set(shownName(row));
    this.suffix.set(` · ${row.pid}${exited ? " · exited" : ""}`);
    this.panel.setAttribute("aria-label", `Process ${row.pid}`);
    const count = Math.max(2, Math.min(SERIES_TICKS, table.sequence - oldest + 1));
    const values = valuesOf(row, table.sequence, count, oldest).map((value) => value * scale || 0);
    const interval = table.head.interval_seconds * 1000;
    this.plot.replaceChildren(
      chart(values, Date.parse(table.head.time), interval, `CPU use of process ${row.pid} in the last minutes, now ${percent(row.cpu_percent)} %`),
    );
    const use = (value) => known(value, () => `${percent(value * scale)} %`);
    for (const { text, slot } of this.facts) slot.set(text(row, use));
    this.showRelatives(row, table, (other) => use(other.total_percent));
  }

  showRelatives(row, table, use) {
    const parents = [];
    for (let at = table.byPid.get(row.ppid); at && parents.length < MAX_PARENTS && !parents.includes(at); at = table.byPid.get(at.ppid)) parents.push(at);
    const children = [...table.rows.values()].filter((other) => other.ppid === row.pid && other !== row);
    children.sort((a, b) => (b.total_percent ?? 0) - (a.total_percent ?? 0) || a.pid - b.pid);
    const focusWasHere = this.panel.contains(document.activeElement);
    this.crowd.show(row, table, use);
    this.parents.show(parents, parents.length, use);
    this.children.show(children.slice(0, MAX_CHILDREN), children.length, use);
    // After following a link by key, the focus stays in the panel instead of jumping to the top of the page.
    if (focusWasHere && !this.panel.contains(document.activeElement)) this.close.focus();
  }
}

/** The panel of one unit: its figures, what its limits cost, for whom it waits, and its processes. */

import { chart } from "./chart.js";
import { CrowdList } from "./crowd_list.js";
import { byId, element, textSlot } from "./dom.js";
import { Relatives } from "./relatives.js";
import { MAX_FILTER_LENGTH } from "../model/filter.js";
import { SERIES_TICKS, valuesOf } from "../model/series.js";
import { cpus, percent, shownName, UNKNOWN, visible } from "../model/text.js";
import { processesIn } from "../model/unit_tree.js";
import { verdictText } from "../model/verdict.js";

const MAX_PROCESSES = 30;

const share = (value) => (value === null ? UNKNOWN : `${percent(value)} %`);

/** Each fact has a label and a text of the unit; `use` formats a CPU use in the scale of the page. */
const FACTS = [
  ["Verdict", verdictText],
  ["Total", (unit, use) => use(unit.total_percent)],
  ["Waiting for a CPU", (unit, use) => use(unit.wait_percent)],
  ["Throttled", (unit, use) => use(unit.throttled_percent)],
  ["Quota", (unit) => (unit.quota_cpus === null ? "none" : `${cpus(unit.quota_cpus)}, ${share(unit.quota_percent)} used`)],
  ["Limit", limitText],
  ["Throttled periods", (unit) => share(unit.throttled_periods_percent)],
  ["Pressure", (unit) => share(unit.pressure_percent)],
  ["Cgroup", (unit) => (unit.unitPath === null ? UNKNOWN : visible(unit.unitPath))],
];

function limitText({ limit_cpus: limit, limited_by: by, unitPath }) {
  if (limit === null) return UNKNOWN;
  if (by === null) return `${cpus(limit)}, no quota`;
  return by === unitPath ? cpus(limit) : `${cpus(limit)}, by the quota of ${visible(by)}`;
}

export class UnitDetail {
  /** `on`: open(id) opens a process, list(filter) lists the processes in the table, close() closes the panel. */
  constructor(on) {
    this.on = on;
    this.panel = byId("unit-detail");
    const name = element("bdi");
    this.title = element("h2", {}, name);
    this.name = textSlot(name);
    this.suffix = textSlot(this.title);
    this.close = element("button", { type: "button", class: "close", onclick: () => on.close() }, "Close ", element("kbd", { text: "Esc" }));
    this.facts = FACTS.map(([label, text]) => {
      const value = element("bdi");
      return { text, slot: textSlot(value), element: element("div", {}, element("dt", { text: label }), element("dd", {}, value)) };
    });
    this.plot = element("div");
    this.crowd = new CrowdList((id) => on.open(id));
    this.processes = new Relatives((count) => `Processes${count ? ` (${count})` : ""}`, "none alive", (id) => on.open(id));
    this.list = element("button", { type: "button", onclick: () => on.list(this.filter) }, "Show as rows");
    this.panel.append(
      element("div", { class: "detail-head" }, this.title, this.close),
      this.plot,
      element("dl", { class: "facts" }, ...this.facts.map((fact) => fact.element)),
      element("div", { class: "kin" }, ...this.processes.nodes, this.list),
      this.crowd.element,
    );
  }

  hide() {
    this.panel.hidden = true;
  }

  show(unit, table, scale, oldest) {
    const label = shownName(unit);
    this.panel.hidden = false;
    this.panel.setAttribute("aria-label", `Unit ${label}`);
    this.name.set(label);
    this.suffix.set(` · ${unit.count} ${unit.count === 1 ? "process" : "processes"}`);
    const count = Math.max(2, Math.min(SERIES_TICKS, table.sequence - oldest + 1));
    const values = valuesOf(unit, table.sequence, count, oldest).map((value) => value * scale || 0);
    const { time, interval_seconds: seconds } = table.head;
    this.plot.replaceChildren(chart(values, Date.parse(time), seconds * 1000, `CPU use of unit ${label} in the last minutes, now ${percent(unit.total_percent)} %`));
    const use = (value) => (value === null ? UNKNOWN : `${percent(value * scale)} %`);
    for (const { text, slot } of this.facts) slot.set(text(unit, use));
    this.filter = `cgroup=${unit.unitPath ?? ""}`;
    this.list.hidden = this.filter.length > MAX_FILTER_LENGTH;
    this.showProcesses(unit, table, (row) => use(row.total_percent));
  }

  showProcesses(unit, table, use) {
    const inside = processesIn(unit);
    const focusWasHere = this.panel.contains(document.activeElement);
    this.crowd.show(unit, table, use);
    this.processes.show(inside.slice(0, MAX_PROCESSES), inside.length, use);
    if (focusWasHere && !this.panel.contains(document.activeElement)) this.close.focus();
  }
}

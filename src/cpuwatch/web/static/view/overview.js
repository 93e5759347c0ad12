/** The machine, at the top of the page: CPU use, each CPU, load, and attribution. */

import { byId, element, setAttribute, setText } from "./dom.js";
import { missingProcesses } from "../model/missing_processes.js";
import { percent, UNKNOWN } from "../model/text.js";

const PARTS = [
  ["processes_percent", "live", "running processes"],
  ["exited_percent", "exited", "exited processes"],
  ["unattributed_percent", "unattributed", "unattributed"],
];
// With more CPUs, the bars have no figures beside them; with still more, they are vertical.
const MAX_WITH_FIGURES = 4;
const MAX_HORIZONTAL = 12;

export class Overview {
  constructor() {
    this.each = true;
    this.segments = PARTS.map(([, name]) => element("span", { class: `segment ${name}` }));
    byId("attribution-bar").replaceChildren(...this.segments);
    this.legend = PARTS.map(([, name, label]) => {
      const figure = element("b");
      byId("attribution").append(
        element("li", {}, element("span", { class: `swatch ${name}`, "aria-hidden": "true" }), figure, ` ${label}`),
      );
      return figure;
    });
    this.cpus = [];
    byId("cpus-toggle").addEventListener("click", () => this.toggleCpus());
  }

  toggleCpus() {
    this.each = !this.each;
    byId("cpus-toggle").setAttribute("aria-pressed", String(this.each));
    if (this.head) this.showCpus(this.head);
  }

  show(head, count) {
    this.head = head;
    const { machine, attribution, host, interval_seconds: interval } = head;
    setText(byId("host"), host.name);
    setText(byId("busy"), percent(machine.cpu_percent));
    setText(byId("busy-note"), `of ${host.logical_cpus} CPUs · user ${percent(machine.user_percent)} · system ${percent(machine.system_percent)}`
      + (machine.iowait_percent > 0.05 ? ` · waiting for I/O ${percent(machine.iowait_percent)}` : "")
      + (machine.pressure_percent > 0.05 ? ` · under pressure ${percent(machine.pressure_percent)}` : ""));
    setText(byId("verdict"), machine.verdict ?? UNKNOWN);
    setText(byId("load"), machine.load_average?.map((load) => load.toFixed(2)).join("  ") ?? UNKNOWN);
    setText(byId("count"), String(count));
    setText(byId("exited"), String(head.exited.reduce((sum, row) => sum + (row.count ?? 0), 0)));
    setText(byId("interval"), `${interval.toFixed(2)} s`);
    setText(byId("source"), host.backend);
    this.showCpus(head);
    PARTS.forEach(([field], index) => {
      const share = attribution[field] ?? 0;
      this.segments[index].style.width = `${Math.min(100, share)}%`;
      setText(this.legend[index], `${percent(attribution[field])} %`);
    });
    setText(byId("missing"), missingProcesses(head.sampling).join("\n"));
    setAttribute(byId("attribution-bar"), "aria-label",
      PARTS.map(([field, , label]) => `${percent(attribution[field])} % ${label}`).join(", "));
  }

  showCpus({ machine }) {
    const single = !this.each;
    const values = single ? [machine.cpu_percent] : machine.per_cpu_percent;
    const list = byId("cpus");
    while (this.cpus.length < values.length) {
      const made = { name: element("span", { class: "cpu-name" }), fill: element("span", { class: "fill" }), figure: element("span", { class: "cpu-figure" }) };
      made.item = element("li", {}, made.name, element("span", { class: "track", "aria-hidden": "true" }, made.fill), made.figure);
      list.append(made.item);
      this.cpus.push(made);
    }
    while (this.cpus.length > values.length) this.cpus.pop().item.remove();
    list.classList.toggle("many", values.length > MAX_WITH_FIGURES && values.length <= MAX_HORIZONTAL);
    list.classList.toggle("crowd", values.length > MAX_HORIZONTAL);
    values.forEach((value, index) => {
      setText(this.cpus[index].name, single ? "all" : String(index));
      setText(this.cpus[index].figure, value === null ? UNKNOWN : `${Math.round(value)} %`);
      this.cpus[index].fill.style.setProperty("--share", `${value ?? 0}%`);
    });
  }
}

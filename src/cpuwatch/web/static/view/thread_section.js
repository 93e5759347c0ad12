/** The section of the threads in the panel of a process. */

import { element, setText } from "./dom.js";
import { percent, UNKNOWN, visible, wholeNumber } from "../model/text.js";

const HEADINGS = ["Name", "TID", "CPU %", "Wait %", "Last CPU", "State"];

export class ThreadSection {
  /** `onToggle()`: the section was opened or closed. */
  constructor(onToggle) {
    this.scale = 1;
    this.note = element("p", { class: "note", role: "status" });
    this.body = element("tbody");
    this.table = element("table", { "aria-label": "Threads" },
      element("thead", {}, element("tr", {}, ...HEADINGS.map((text, index) => element("th", { scope: "col", text, class: index ? "number" : "" })))), this.body);
    this.element = element("details", { class: "threads", ontoggle: onToggle }, element("summary", { text: "Threads" }), this.note, this.table);
  }

  get isOpen() {
    return this.element.open;
  }

  /** `threads` is null while they are being measured; `problem` says why there are none. */
  show(threads, problem = "Measuring…") {
    this.table.hidden = threads === null;
    setText(this.note, threads === null ? problem : sums(threads, this.scale));
    this.body.replaceChildren(...(threads?.threads ?? []).map((row) => this.row(row)));
  }

  row({ tid, name, cpu_percent: cpu, wait_percent: wait, last_cpu: lastCpu, state }) {
    const shown = name === null ? UNKNOWN : visible(name);
    return element("tr", {}, element("th", { scope: "row" }, element("bdi", { text: shown })),
      ...[tid, use(cpu, this.scale), percent(wait), wholeNumber(lastCpu), state ?? UNKNOWN].map((text) => element("td", { class: "number", text })));
  }
}

const use = (value, scale) => percent(value === null ? null : value * scale);

/** The sums of the process, and how many of its threads are not in the table. */
export function sums({ cpu_percent: cpu, ended_percent: ended, wait_percent: wait, threads, thread_count: count }, scale) {
  const hidden = count - threads.length;
  return `All threads: ${use(cpu, scale)} %, of which ${use(ended, scale)} % by threads that ended. Waiting: ${percent(wait)} %.`
    + (hidden > 0 ? ` ${hidden} more are not shown.` : "");
}

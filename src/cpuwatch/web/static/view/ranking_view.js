/** The panel of a range: what used the CPU most in it. */

import { byId, element, setText } from "./dom.js";
import { GROUPS, GROUP_LABELS, ranking } from "../model/ranking.js";
import { duration, percent } from "../model/text.js";
import { range } from "../model/time_text.js";

const MIN_UNCOVERED_SECONDS = 2;
const MIN_REST_SECONDS = 0.005;

export class RankingView {
  /** `on`: by(group), close(). */
  constructor(on) {
    this.panel = byId("ranking");
    this.title = element("h2", { id: "ranking-title", "aria-live": "polite" });
    this.note = element("p", { class: "note", role: "status" });
    this.by = element("select", { id: "ranking-by", onchange: ({ target }) => on.by(target.value) },
      ...Object.keys(GROUPS).map((value) => element("option", { value, text: GROUP_LABELS[value] })));
    this.body = element("tbody");
    this.panel.append(
      element("div", { class: "detail-head" }, this.title,
        element("button", { type: "button", class: "close", onclick: on.close, text: "Close" })),
      element("p", { class: "ranking-by" }, element("label", {}, "By ", this.by)),
      this.note,
      element("table", {}, element("thead", {}, element("tr", {}, ...["Name", "Total time", "Mean %", "Peak %"].map((text, index) =>
        element("th", { scope: "col", text, class: index ? "number" : "" })))), this.body),
    );
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  hide() {
    this.panel.hidden = true;
  }

  /** Opens the panel at once; the figures follow. */
  open(selected, by) {
    this.panel.hidden = false;
    setText(this.title, `Used most between ${range(selected, " and ")}`);
    this.by.value = by;
  }

  /** `summary` is null while it is on its way; `problem` says why there is none. */
  show(summary, problem) {
    this.panel.setAttribute("aria-busy", String(summary === null && !problem));
    if (summary === null) {
      setText(this.note, problem ?? "Adding up…");
      if (problem) this.body.replaceChildren();
      return;
    }
    const { rows, rest } = ranking(summary);
    setText(this.note, facts(summary));
    this.body.replaceChildren(
      ...rows.map(({ kind, label, note, seconds, mean, peak }) => element("tr", { class: kind === "exited" ? "brief" : "" },
        element("th", { scope: "row" }, element("bdi", { text: label }), note ? element("span", { class: "many" }, " ", element("bdi", { text: note })) : ""),
        ...[duration(seconds), percent(mean), percent(peak)].map((text) => element("td", { class: "number", text })))),
      ...(rest < MIN_REST_SECONDS ? [] : [element("tr", {}, element("th", { scope: "row", class: "many", text: "All others" }),
        ...[duration(rest), "", ""].map((text) => element("td", { class: "number many", text })))]),
    );
  }
}

function facts({ machine, attribution, start, end, covered_seconds: covered, resolution_seconds: resolution }) {
  if (covered === 0) return "Nothing was recorded in this range.";
  const exited = machine.busy_cpu_seconds > 0 ? (100 * attribution.exited_seconds) / machine.busy_cpu_seconds : 0;
  const missing = (Date.parse(end) - Date.parse(start)) / 1000 - covered;
  return `The machine was ${percent(machine.busy_percent)} % busy, at most ${percent(machine.peak_percent)} %. `
    + `${percent(exited)} % of that was used by processes that have exited.`
    + (missing > MIN_UNCOVERED_SECONDS + covered / 100 ? ` ${duration(missing)} of this range was not recorded.` : "")
    + (resolution === null ? "" : " Only whole minutes of this range are kept.");
}

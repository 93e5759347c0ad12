/** The line below the table: the visible rows add up to the machine. */

import { total } from "../model/arrange.js";
import { percent } from "../model/text.js";
import { byId, setText } from "./dom.js";

const MIN_EXCESS_PERCENT = 0.05;

export function showSum(rows, { machine, attribution, host }, { filter, view }) {
  const sum = total(rows, view === "tree") / host.logical_cpus;
  const shown = `${rows.length} ${rows.length === 1 ? "row" : "rows"}: ${percent(sum)} % of the machine`;
  const busy = `${percent(machine.cpu_percent)} % busy`;
  const excess = attribution.excess_percent > MIN_EXCESS_PERCENT ? ` − ${percent(attribution.excess_percent)} % in excess of the machine's own count` : "";
  const unattributed = `${percent(attribution.unattributed_percent)} % unattributed`;
  setText(byId("sum"), filter ? `${shown} (filtered), of ${busy}` : `${shown} + ${unattributed}${excess} = ${busy}`);
}

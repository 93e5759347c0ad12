/** The line below the table, in which the visible rows and the rest add up to the machine. */

import { total } from "../model/arrange.js";
import { percent } from "../model/text.js";
import { byId, setText } from "./dom.js";

const MIN_EXCESS_PERCENT = 0.05;

export function showSum(rows, { machine, attribution, exited, host }, { filter, view }) {
  const sum = total(rows, view) / host.logical_cpus;
  const shown = `${rows.length} ${rows.length === 1 ? "row" : "rows"}: ${percent(sum)} % of the machine`;
  const busy = `${percent(machine.cpu_percent)} % busy`;
  const { unattributed_percent: unattributed, excess_percent: excess } = attribution;
  const beyond = excess > MIN_EXCESS_PERCENT ? ` − ${percent(excess)} % in excess of the machine's own count` : "";
  const rest = unattributed === null ? null : Math.max(0, unattributed - estimated(exited) / host.logical_cpus);
  setText(byId("sum"), filter ? `${shown} (filtered), of ${busy}` : `${shown} + ${percent(rest)} % in no row${beyond} = ${busy}`);
}

/** Estimates are part of what is unattributed, but they have rows. */
function estimated(exited) {
  let sum = 0;
  for (const row of exited) if (row.estimated) sum += row.cpu_percent ?? 0;
  return sum;
}

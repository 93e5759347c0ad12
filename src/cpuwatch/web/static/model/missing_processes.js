/** Reports processes that could not be read, in the same words as the text table (encoding/table.py). Pure. */

import { visible } from "./text.js";

/** One line for each reason why CPU time is unattributed; `sampling` is that of a snapshot. */
export function missingProcesses({ hidden, unreadable }) {
  const lines = hidden.map((reason) => `hidden: ${reason}`);
  const reasons = Object.entries(unreadable).sort(([one], [other]) => (one < other ? -1 : 1));
  if (reasons.length) {
    const count = reasons.reduce((sum, [, processes]) => sum + processes, 0);
    lines.push(`unreadable: ${count} ${count === 1 ? "process" : "processes"} (${reasons.map(([reason, processes]) => `${reason} ${processes}`).join(", ")})`);
  }
  return lines.map((line) => visible(`${line}; their CPU time is in unattributed`));
}

/** Rows summed by name, user or unit. Pure. */

import { makeRow } from "./process_table.js";

const SUMMED = ["cpu_percent", "user_percent", "system_percent", "exited_percent", "cpu_seconds", "threads"];

export function addTo(sum, row) {
  for (const field of SUMMED) if (row[field] !== null) sum[field] = (sum[field] ?? 0) + row[field];
}

export function grouped(rows, field) {
  const groups = new Map();
  // A unit is its path: its name is made longer when another of the same name comes.
  const source = { name: "summedName", unit: "unitPath" }[field] ?? field;
  for (const row of rows) {
    const which = row[source];
    let group = groups.get(which);
    if (group === undefined) {
      group = makeRow("group", `group ${field} ${which}`);
      group.name = field === "unit" ? row.unit : which;
      group[field] = group.name;
      group.count = 0;
      group.members = [];
      groups.set(which, group);
    }
    if (row.kind === "process") group.count += 1;
    group.members.push(row);
    addTo(group, row);
  }
  return [...groups.values()];
}

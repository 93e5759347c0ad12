/** Rows summed by name, user or unit. Pure. */

import { makeRow } from "./process_table.js";

const SUMMED = ["cpu_percent", "user_percent", "system_percent", "children_percent", "cpu_seconds", "threads"];

export function addTo(sum, row) {
  for (const field of SUMMED) if (row[field] !== null) sum[field] = (sum[field] ?? 0) + row[field];
}

export function grouped(rows, field) {
  const groups = new Map();
  const source = field === "name" ? "summedName" : field;
  for (const row of rows) {
    const value = row[source];
    let group = groups.get(value);
    if (group === undefined) {
      group = makeRow("group", `group ${field} ${value}`);
      group[field] = value;
      group.name = value;
      group.count = 0;
      group.members = [];
      groups.set(value, group);
    }
    if (row.kind === "process") group.count += 1;
    group.members.push(row);
    addTo(group, row);
  }
  return [...groups.values()];
}

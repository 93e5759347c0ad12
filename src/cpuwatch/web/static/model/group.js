/** Sums rows by name, user or unit. Pure. */

import { makeRow } from "./process_table.js";

const SUMMED = ["cpu_percent", "user_percent", "system_percent", "cpu_seconds", "threads"];

export function addTo(sum, row) {
  for (const field of SUMMED) add(sum, field, row[field]);
}

export function add(sum, field, value) {
  if (value !== null) sum[field] = (sum[field] ?? 0) + value;
}

/**
 * The groups of these rows by `field`. Exited processes count in the group of their own name and user, and only there,
 * so all groups add up to all rows. `exited_percent` is the part of `cpu_percent` that they used.
 */

export function grouped(rows, field) {
  const groups = new Map();
  // A unit is identified by its path, because its name gets longer when another of the same name appears.
  const source = { name: "summedName", unit: "unitPath" }[field] ?? field;
  for (const row of rows) {
    const value = row[source];
    let group = groups.get(value);
    if (group === undefined) {
      group = makeRow("group", `group ${field} ${value}`);
      group.name = field === "unit" ? row.unit : value;
      group[field] = group.name;
      group.count = 0;
      group.members = [];
      groups.set(value, group);
    }
    if (row.kind === "process") group.count += 1;
    group.members.push(row);
    addTo(group, row);
    if (row.kind === "exited") add(group, "exited_percent", row.cpu_percent);
    group.total_percent = group.cpu_percent;
  }
  return [...groups.values()];
}

/** Sums rows by name, user or the path of their unit. Pure. */

import { ADDITIVE, makeRow } from "./row.js";

/** The fields that contain the CPU use of exited processes. */
export const EXITED = ["exited_percent", "total_percent"];
export const OWN = ADDITIVE.filter((field) => !EXITED.includes(field));

export function add(sum, row, fields) {
  for (const field of fields) if (row[field] !== null) sum[field] = (sum[field] ?? 0) + row[field];
}

/**
 * The groups of these rows by `field`, like the library's groups: exited processes count in the group of their own name
 * and user, not in that of their parent, so all groups add up to all rows.
 */
export function grouped(rows, field) {
  const groups = new Map();
  const source = field === "name" ? "summedName" : field;
  for (const row of rows) {
    const value = row[source];
    let group = groups.get(value);
    if (group === undefined) {
      group = makeRow("group", `group ${field} ${value}`);
      if (field !== "unitPath") group.name = value;
      group[field] = value;
      group.count = 0;
      group.members = [];
      groups.set(value, group);
    }
    if (row.kind === "process") group.count += 1;
    group.members.push(row);
    add(group, row, OWN);
    if (row.kind === "exited") add(group, row, ["exited_percent"]);
  }
  for (const group of groups.values()) {
    const { cpu_percent: own, exited_percent: exited } = group;
    group.total_percent = own === null ? exited : own + (exited ?? 0);
  }
  return [...groups.values()];
}

/** A row of the table. Pure. */

// The server generates this module from the library's table of fields (src/cpuwatch/fields.py).
import { FIELDS } from "./fields.js";

/** What the limits of its cgroup allow a unit, and what they cost. The names are those of `cgroups` in a snapshot. */
export const UNIT_FIELDS = ["quota_cpus", "limit_cpus", "limited_by", "quota_percent", "throttled_periods_percent", "pressure_percent", "cpus"];

const EMPTY = Object.freeze({
  ...Object.fromEntries(FIELDS.map(({ name }) => [name, null])),
  ...Object.fromEntries(UNIT_FIELDS.map((name) => [name, null])),
  parentName: null,
  summedName: null,
  unitPath: null,
  unit: null,
  count: 1,
  estimated: false,
  age: 0,
  depth: 0,
  branch: "",
  series: null,
  members: null,
  below: null,
  sum: null,
  // The table's version at the last change of this row.
  version: 0,
});

const TIMES = new Set(FIELDS.filter(({ type }) => type === "time").map(({ name }) => name));

/** The fields that can be added up. */
export const ADDITIVE = FIELDS.filter(({ adds_up: addsUp }) => addsUp).map(({ name }) => name);

/**
 * A row of any kind: process, gone (a process that exited), exited (short-lived processes of one name) or group.
 * All kinds have the same properties, which keeps sorting fast.
 */
export function makeRow(kind, id) {
  return { kind, id, ...EMPTY };
}

/** Copies the fields of a process, as they come from the server, to its row. Times become milliseconds. */
export function writeFields(row, process) {
  for (const { name } of FIELDS) row[name] = process[name] ?? null;
  for (const name of TIMES) if (row[name] !== null) row[name] = Date.parse(row[name]);
}

/** The columns: their order, how they are formatted, and at which window widths they appear. */

import { FIELDS } from "../model/fields.js";
import { duration, percent, startedAt, UNKNOWN, wholeNumber } from "../model/text.js";

/** By field: 1 appears even on a phone, 4 only on a wide screen. In the order of the columns. */
const PRIORITIES = {
  pid: 1,
  name: 1,
  total_percent: 1,
  cpu_percent: 2,
  past: 1,
  user_percent: 3,
  system_percent: 3,
  exited_percent: 3,
  wait_percent: 3,
  throttled_percent: 4,
  verdict: 2,
  quota_cpus: 3,
  quota_percent: 2,
  throttled_periods_percent: 4,
  pressure_percent: 3,
  cpu_seconds: 2,
  user: 2,
  state: 3,
  threads: 4,
  start_time: 4,
  unit: 4,
};
const LOWEST_PRIORITY = 4;

/** Left out of the view of units: what only a process has, and what the limits of units need the space of. */
const NOT_IN_UNITS = new Set(["pid", "user", "state", "threads", "start_time", "unit", "user_percent", "system_percent", "cpu_seconds"]);

/** Not columns: the scale replaces machine_percent, unit the cgroup, and the panel of a process shows the others. */
const HIDDEN = new Set(["key", "ppid", "machine_percent", "first_seen", "cgroup", "command_line"]);

/** A column that only the view of units has. Its shares have bases of their own, so the scale does not apply. */
function unitColumn(key, label, title) {
  return { key, label, title, kind: "number", text: (row) => percent(row[key]), descends: true, views: "in-units" };
}

const UNIT_COLUMNS = [
  { ...unitColumn("quota_cpus", "Quota", "CPUs that its own quota allows"), text: ({ quota_cpus: quota }) => (quota === null ? UNKNOWN : String(Number(quota.toFixed(2)))) },
  unitColumn("quota_percent", "Quota %", "Used share of its own quota"),
  unitColumn("throttled_periods_percent", "Periods %", "Share of the periods in which its quota was used up"),
  unitColumn("pressure_percent", "Pressure %", "Share of the time in which at least one of its threads waited for a CPU"),
];

/** Columns that are not fields of the server. */
const COMPUTED = {
  past: { key: "past", label: "Last minutes", title: "CPU use in the last two minutes", kind: "past", text: null, descends: false },
  unit: { key: "unit", label: "Unit", title: "systemd unit or container", kind: "text", text: (row) => row.unit, descends: false },
  ...Object.fromEntries(UNIT_COLUMNS.map((column) => [column.key, column])),
};

const FORMATS = {
  integer: wholeNumber,
  number: duration,
  text: (value) => value,
  time: startedAt,
};

/** Marks estimates: no parent waited for these processes, so the kernel reports their CPU time only approximately. */
const scaled = (name) => (row, scale) => (row.estimated && row[name] !== null ? "~" : "") + percent(row[name] === null ? null : row[name] * scale);

function fieldColumn({ name, type, title, description, unit, descends }) {
  const format = FORMATS[type];
  return {
    key: name,
    label: title,
    title: description,
    kind: type === "text" ? "text" : "number",
    text: unit === "percent" ? scaled(name) : (row) => format(row[name]),
    descends,
  };
}

function columns() {
  const shown = FIELDS.filter(({ name }) => !HIDDEN.has(name));
  const byKey = { ...Object.fromEntries(shown.map((field) => [field.name, fieldColumn(field)])), ...COMPUTED };
  // A new field of the server appears last until it gets its place above.
  const keys = new Set([...Object.keys(PRIORITIES), ...Object.keys(byKey)]);
  return Array.from(keys, (key) => ({ views: NOT_IN_UNITS.has(key) ? "not-in-units" : "", ...byKey[key], priority: PRIORITIES[key] ?? LOWEST_PRIORITY }));
}

export const COLUMNS = columns();

export const SORTABLE = COLUMNS.filter(({ kind }) => kind !== "past");

/** The classes of a column's cells. */
export function classOf({ kind, priority, key, views }) {
  return `${kind} p${priority} c-${key} ${views}`.trimEnd();
}

export function columnOf(key) {
  return SORTABLE.find((column) => column.key === key) ?? null;
}

/** The columns: their order, how they are formatted, and at which window widths they appear. */

import { FIELDS } from "../model/fields.js";
import { duration, percent, startedAt, wholeNumber } from "../model/text.js";

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
  cpu_seconds: 2,
  user: 2,
  state: 3,
  threads: 4,
  start_time: 4,
  unit: 4,
};
const LOWEST_PRIORITY = 4;

/** Not columns: the scale replaces machine_percent, unit the cgroup, and the panel of a process shows the others. */
const HIDDEN = new Set(["key", "ppid", "machine_percent", "first_seen", "cgroup", "command_line"]);

/** Columns that are not fields of the server. */
const COMPUTED = {
  past: { key: "past", label: "Last minutes", title: "CPU use in the last two minutes", kind: "past", text: null, descends: false },
  unit: { key: "unit", label: "Unit", title: "systemd unit or container", kind: "text", text: (row) => row.unit, descends: false },
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
  return Array.from(keys, (key) => ({ ...byKey[key], priority: PRIORITIES[key] ?? LOWEST_PRIORITY }));
}

export const COLUMNS = columns();

export const SORTABLE = COLUMNS.filter(({ kind }) => kind !== "past");

export function columnOf(key) {
  return SORTABLE.find((column) => column.key === key) ?? null;
}

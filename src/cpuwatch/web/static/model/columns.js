/** The columns: what stands in them, how they sort, and at which width of the window they are shown. */

import { duration, percent, startedAt, wholeNumber } from "./text.js";

const number = (key, label, title, text, priority) => ({ key, label, title, text, priority, kind: "number", descends: true });
const word = (key, label, title, text, priority) => ({ key, label, title, text, priority, kind: "text", descends: false });
/** An estimate is marked as one: nobody waited for these processes, so the kernel tells only about how much they used. */
const used = (row, scale) => (row.estimated ? "~" : "") + ofScale("cpu_percent")(row, scale);
const ofScale = (key) => (row, scale) => percent(row[key] === null ? null : row[key] * scale);

/** `priority` 1 is shown on a phone; 4 only on a wide screen. */
export const COLUMNS = [
  { ...number("pid", "PID", "process ID", (row) => wholeNumber(row.pid), 1), descends: false },
  word("name", "Name", "name", (row) => row.name, 1),
  number("cpu_percent", "CPU %", "CPU use in the last interval (~ estimated)", used, 1),
  { key: "past", label: "Last minutes", title: "CPU use over the last two minutes", kind: "past", priority: 1 },
  number("user_percent", "User %", "in the program itself", ofScale("user_percent"), 3),
  number("system_percent", "Sys %", "in the kernel, for the program", ofScale("system_percent"), 3),
  number("exited_percent", "Exited %", "used by descendants that exited within the interval", ofScale("exited_percent"), 3),
  number("cpu_seconds", "CPU time", "CPU time since it started", (row) => duration(row.cpu_seconds), 2),
  word("user", "User", "owner", (row) => row.user, 2),
  word("state", "State", "R running, S sleeping, D waiting for a device, Z zombie, T stopped, I idle", (row) => row.state, 3),
  number("threads", "Threads", "number of threads", (row) => wholeNumber(row.threads), 4),
  number("started", "Started", "when it started", (row) => startedAt(row.started), 4),
  word("unit", "Unit", "systemd unit or container", (row) => row.unit, 4),
];

export const SORTABLE = COLUMNS.filter((column) => column.kind !== "past");

export function columnOf(key) {
  return SORTABLE.find((column) => column.key === key) ?? null;
}

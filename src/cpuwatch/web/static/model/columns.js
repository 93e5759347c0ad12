/** The columns: their texts, how they sort, and at which window widths they appear. */

import { duration, percent, startedAt, wholeNumber } from "./text.js";

const number = (key, label, title, text, priority) => ({ key, label, title, text, priority, kind: "number", descends: true });
const word = (key, label, title, text, priority) => ({ key, label, title, text, priority, kind: "text", descends: false });
/** Marks estimates: no parent waited for these processes, so the kernel reports their CPU time only approximately. */
const estimable = (key) => (row, scale) => (row.estimated ? "~" : "") + ofScale(key)(row, scale);
const ofScale = (key) => (row, scale) => percent(row[key] === null ? null : row[key] * scale);

/** `priority` 1 appears even on a phone, 4 only on a wide screen. */
export const COLUMNS = [
  { ...number("pid", "PID", "Process ID", (row) => wholeNumber(row.pid), 1), descends: false },
  word("name", "Name", "Name of the program", (row) => row.name, 1),
  number("total_percent", "Total %", "CPU % plus exited %: the process and its descendants that exited in this interval (~ estimated)", estimable("total_percent"), 1),
  number("cpu_percent", "CPU %", "CPU used by the process itself in this interval (~ estimated)", estimable("cpu_percent"), 2),
  { key: "past", label: "Last minutes", title: "CPU use in the last two minutes", kind: "past", priority: 1 },
  number("user_percent", "User %", "CPU used in user mode", ofScale("user_percent"), 3),
  number("system_percent", "Sys %", "CPU used in the kernel on behalf of the process", ofScale("system_percent"), 3),
  number("exited_percent", "Exited %", "CPU used by descendants that exited in this interval", ofScale("exited_percent"), 3),
  number("cpu_seconds", "CPU time", "CPU time since the process started", (row) => duration(row.cpu_seconds), 2),
  word("user", "User", "Owner", (row) => row.user, 2),
  word("state", "State", "R running, S sleeping, D uninterruptible wait, Z zombie, T stopped, I idle kernel thread", (row) => row.state, 3),
  number("threads", "Threads", "Number of threads", (row) => wholeNumber(row.threads), 4),
  number("started", "Started", "Start time", (row) => startedAt(row.started), 4),
  word("unit", "Unit", "systemd unit or container", (row) => row.unit, 4),
];

export const SORTABLE = COLUMNS.filter((column) => column.kind !== "past");

export function columnOf(key) {
  return SORTABLE.find((column) => column.key === key) ?? null;
}

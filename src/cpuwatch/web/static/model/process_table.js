/** The processes of one moment, as rows that change in place, and those that exited a few ticks ago. */

import { ADDITIVE, makeRow, writeFields } from "./row.js";
import { Series } from "./series.js";
import { KTHREADD, summedName } from "./summed_name.js";
import { unitNames, unitPath } from "./unit_name.js";

const FADING_TICKS = 5;
const MAX_EXITED = 200;

export class ProcessTable {
  constructor() {
    this.version = 0;
    this.head = null;
    this.rows = new Map();
    this.exited = new Map();
    this.byPid = new Map();
    this.unitNames = new Map();
    this.givenNames = new Map();
  }

  get sequence() {
    return this.head?.sequence ?? 0;
  }

  /** Applies a tick: the head of a snapshot, the rows that changed and the keys that are gone. */
  apply({ changed, gone, ...head }) {
    this.begin(head, gone);
    this.add(changed);
    this.settle();
  }

  // The same in three parts, for ticks that arrive in chunks: begin(), add() for each chunk, settle().

  begin(head, gone) {
    this.head = head;
    this.version += 1;
    for (const key of gone) this.remove(key);
  }

  add(changed) {
    this.version += 1;
    for (const process of changed) this.write(process, this.head.sequence);
  }

  settle() {
    this.version += 1;
    this.fade(this.head.exited);
    this.nameUnits();
  }

  write(process, sequence) {
    let row = this.rows.get(process.key);
    if (row === undefined) {
      row = makeRow("process", process.key);
      // It did not exit: it was only missing from a tick.
      this.forget(process.key);
      this.rows.set(process.key, row);
      this.byPid.set(process.pid, row);
    }
    row.version = this.version;
    writeFields(row, process);
    row.summedName = this.summedName(row.name, row.ppid);
    row.unitPath = unitPath(row.cgroup);
    row.unit = this.unitNames.get(row.unitPath) ?? null;
    if (process.cpu_percent > 0) (row.series ??= new Series(sequence)).set(sequence, process.cpu_percent);
  }

  /** In a PID namespace, PID 2 is an ordinary process and kernel threads are invisible. */
  summedName(name, parentPid) {
    return (this.byPid.get(KTHREADD)?.name ?? "kthreadd") === "kthreadd" ? summedName(name, parentPid) : name;
  }

  remove(key) {
    const row = this.rows.get(key);
    if (row === undefined) return;
    this.rows.delete(key);
    row.version = this.version;
    if (this.byPid.get(row.pid) === row) this.byPid.delete(row.pid);
    if (this.exited.size >= MAX_EXITED) return;
    Object.assign(row, { kind: "gone", state: "exited", age: 0 });
    for (const field of ADDITIVE) if (field !== "cpu_seconds") row[field] = null;
    this.exited.set(key, row);
  }

  forget(id) {
    const row = this.exited.get(id);
    if (row === undefined) return;
    row.version = this.version;
    this.exited.delete(id);
  }

  fade(exited) {
    for (const [id, row] of this.exited) {
      row.age += 1;
      row.exited_percent = null;
      row.total_percent = null;
      row.estimated = false;
      row.version = this.version;
      if (row.age > FADING_TICKS) this.forget(id);
    }
    for (const group of exited) {
      const id = `exited ${group.parent_pid} ${group.user} ${group.name}`;
      let row = this.exited.get(id);
      if (row === undefined) {
        row = makeRow("exited", id);
        row.name = group.name;
        row.summedName = this.summedName(group.name, group.parent_pid);
        row.user = group.user;
        row.ppid = group.parent_pid;
        row.parentName = group.parent_name;
        row.state = "exited";
        row.unitPath = this.byPid.get(group.parent_pid)?.unitPath ?? null;
        row.unit = this.unitNames.get(row.unitPath) ?? null;
        this.exited.set(id, row);
      }
      row.version = this.version;
      row.age = 0;
      row.count = group.count;
      row.exited_percent = group.cpu_percent;
      row.total_percent = group.cpu_percent;
      row.estimated = group.estimated === true && group.cpu_percent !== null;
      if (group.cpu_percent > 0) (row.series ??= new Series(this.sequence)).set(this.sequence, group.cpu_percent);
    }
  }

  /** The shortest unique name of a unit depends on all others: when one comes or goes, other rows may change. */
  nameUnits() {
    const paths = new Set();
    for (const row of this.rows.values()) paths.add(row.unitPath);
    for (const row of this.exited.values()) paths.add(row.unitPath);
    paths.delete(null);
    const given = new Map();
    for (const { path, name } of this.head.cgroups ?? []) if (name !== null) given.set(path, name);
    const isSame = [...given].every(([path, name]) => this.givenNames.get(path) === name) && given.size === this.givenNames.size;
    if (isSame && paths.size === this.unitNames.size && [...paths].every((path) => this.unitNames.has(path))) return;
    this.givenNames = given;
    this.unitNames = unitNames(paths, given);
    this.writeUnits(this.rows);
    this.writeUnits(this.exited);
  }

  writeUnits(rows) {
    for (const row of rows.values()) {
      const unit = this.unitNames.get(row.unitPath) ?? null;
      if (row.unit === unit) continue;
      row.unit = unit;
      row.version = this.version;
    }
  }

  /** Adds the past to the rows: for each key, the values from the tick `first` on. */
  fillPast(first, pasts) {
    for (const [key, values] of pasts) {
      const row = this.rows.get(key);
      if (row === undefined) continue;
      const series = new Series(first);
      values.forEach((value, index) => series.set(first + index, value));
      const newer = row.series;
      for (let at = series.last + 1; newer !== null && at <= newer.last; at += 1) series.set(at, newer.at(at));
      row.series = series;
    }
  }

  /** A copy that no longer changes, except for its series. */
  copy() {
    const copy = new ProcessTable();
    copy.head = this.head;
    copy.version = this.version;
    for (const [key, row] of this.rows) copy.rows.set(key, { ...row });
    for (const [id, row] of this.exited) copy.exited.set(id, { ...row });
    for (const row of copy.rows.values()) copy.byPid.set(row.pid, row);
    copy.unitNames = this.unitNames;
    copy.givenNames = this.givenNames;
    return copy;
  }

  /** Shares the series of the live table, which knows the past. */
  adoptSeries(live) {
    for (const [key, row] of this.rows) row.series = live.rows.get(key)?.series ?? row.series;
  }
}

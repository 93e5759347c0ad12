/** Arranges units below the slices and units that contain them, as the library's query/units.py does. Pure. */

import { add, grouped, OWN } from "./group.js";
import { makeRow, UNIT_FIELDS } from "./row.js";
import { stolenShare, verdictOf } from "./verdict.js";
import { hasRow, nameInTree } from "./unit_name.js";

const SUMMED = [...OWN, "exited_percent"];

export const unitId = (path) => `unit ${path}`;

/**
 * The units of these rows and all units above them, by path. A unit is identified by its path, so two of the same name
 * are two. Each has the sums of all that is below it. `head` is that of the snapshot; with `hasEmpty`, also its cgroups
 * without processes are units: with cgroup v1, a quota may be there.
 */
export function unitTree(rows, { cgroups = [], machine }, hasEmpty = true) {
  const units = new Map();
  for (const group of grouped(rows, "unitPath")) units.set(group.unitPath, Object.assign(group, { id: unitId(group.unitPath) }));
  if (hasEmpty) for (const { path } of cgroups) if (hasRow(path) && !units.has(path)) units.set(path, emptyUnit(path));
  for (const path of [...units.keys()]) addAncestors(units, path);
  sumUp(units);
  const stolen = stolenShare(machine);
  for (const unit of units.values()) {
    unit.name = unit.unitPath === null ? null : nameInTree(unit.unitPath);
    unit.verdict = verdictOf(unit.total_percent ?? 0, unit.wait_percent, unit.throttled_percent, stolen);
  }
  for (const cgroup of cgroups) if (units.has(cgroup.path)) addLimits(units.get(cgroup.path), cgroup);
  return units;
}

/** The unit of a table with this id, with all its processes, also those that a filter omits; null if there is none. */
export function unitWithId({ rows, exited, head }, id) {
  if (!id?.startsWith(unitId(""))) return null;
  return [...unitTree([...rows.values(), ...exited.values()], head).values()].find((unit) => unit.id === id) ?? null;
}

/** The units that are below no other. */
export function topUnits(units) {
  return [...units.values()].filter(({ unitPath }) => !units.has(parentOf(unitPath)));
}

/** The living processes in a unit and all units below it, busiest first. */
export function processesIn(unit) {
  const found = [];
  const waiting = [unit];
  while (waiting.length > 0) {
    for (const member of waiting.pop().members) {
      if (member.members !== null) waiting.push(member);
      else if (member.kind === "process") found.push(member);
    }
  }
  return found.sort(busiestFirst);
}

const busiestFirst = (a, b) => (b.total_percent ?? -1) - (a.total_percent ?? -1) || a.pid - b.pid;

function emptyUnit(path) {
  return Object.assign(makeRow("group", unitId(path)), { unitPath: path, count: 0, members: [], cpu_percent: 0, total_percent: 0 });
}

/** The nearest row above; undefined for a root. */
function parentOf(path) {
  if (path === null) return undefined;
  // A path that ends like this is outside of the cgroup namespace, whose root is not above it.
  for (let above = path; above !== "/" && !above.endsWith("/.."); ) {
    above = above.slice(0, Math.max(0, above.lastIndexOf("/"))) || "/";
    if (hasRow(above) && !above.endsWith("/..")) return above;
  }
  return undefined;
}

function addAncestors(units, path) {
  for (let above = parentOf(path); above !== undefined && !units.has(above); above = parentOf(above)) units.set(above, emptyUnit(above));
}

/** A path is longer than those above it, so from the longest to the shortest each is complete before it is added. */
function sumUp(units) {
  const paths = [...units.keys()].filter((path) => path !== null).sort((a, b) => b.length - a.length);
  for (const path of paths) {
    const unit = units.get(path);
    const above = units.get(parentOf(path));
    if (above === undefined) continue;
    add(above, unit, SUMMED);
    if (unit.total_percent !== null) above.total_percent = (above.total_percent ?? 0) + unit.total_percent;
    above.count += unit.count;
    above.members.push(unit);
    (above.below ??= []).push(unit);
  }
}

function addLimits(unit, cgroup) {
  for (const field of UNIT_FIELDS) unit[field] = cgroup[field] ?? null;
  unit.name = cgroup.name ?? unit.name;
  if (unit.count === 0 && !unit.total_percent && !cgroup.cpu_percent) unit.verdict = "idle";
}

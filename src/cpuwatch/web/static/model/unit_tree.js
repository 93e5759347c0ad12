/** Arranges units below the slices and units that contain them, with the sums and limits of each. Pure. */

import { add, grouped, OWN } from "./group.js";
import { makeRow, UNIT_FIELDS } from "./row.js";
import { stolenShare, verdictOf } from "./verdict.js";
import { isIn, nameInTree } from "./unit_name.js";

const SUMMED = [...OWN, "exited_percent"];
const MIN_CROWDING_PERCENT = 1;

export const unitId = (path) => `unit ${path}`;

/**
 * The units of these rows and all cgroups above them, by path. A unit is identified by its path, so two of the same name
 * are two. Each has the sums of all that is below it. `head` is that of the snapshot.
 */
export function unitTree(rows, { cgroups, machine }) {
  const units = new Map();
  for (const group of grouped(rows, "unitPath")) units.set(group.unitPath, Object.assign(group, { id: unitId(group.unitPath) }));
  for (const path of [...units.keys()]) addAncestors(units, path);
  sumUp(units);
  for (const cgroup of cgroups ?? []) {
    const unit = units.get(cgroup.path);
    if (unit === undefined) continue;
    for (const field of UNIT_FIELDS) unit[field] = cgroup[field] ?? null;
    unit.name = cgroup.name;
  }
  const stolen = stolenShare(machine);
  for (const unit of units.values()) {
    unit.name ??= unit.unitPath === null ? null : nameInTree(unit.unitPath);
    unit.verdict = verdictOf(unit.total_percent, unit.wait_percent, unit.throttled_percent, stolen);
  }
  return units;
}

/** The unit of a table with this id, with all its processes, also those that a filter omits; null if there is none. */
export function unitWithId({ rows, exited, head }, id) {
  if (!id?.startsWith(unitId(""))) return null;
  return [...unitTree([...rows.values(), ...exited.values()], head).values()].find((unit) => unit.id === id) ?? null;
}

/** The units that are below no other. The root cgroup is not shown as their parent, because all would be below it. */
export function topUnits(units) {
  return [...units.values()].filter(({ unitPath }) => !units.has(parentOf(unitPath)));
}

/** The rows in these units, busiest first. */
export function rowsIn(rows, path) {
  return rows.filter((row) => isIn(row.unitPath, path)).sort(busiestFirst);
}

/** The processes outside of a unit that used the most, busiest first: those for which it waits if it is crowded. */
export function crowdOf(rows, path) {
  const others = rows.filter((row) => row.total_percent >= MIN_CROWDING_PERCENT && !isIn(row.unitPath, path));
  return others.sort(busiestFirst);
}

const busiestFirst = (a, b) => (b.total_percent ?? -1) - (a.total_percent ?? -1) || a.pid - b.pid;

function parentOf(path) {
  const end = path === null ? -1 : path.lastIndexOf("/");
  return end > 0 ? path.slice(0, end) : undefined;
}

function addAncestors(units, path) {
  for (let above = parentOf(path); above !== undefined && !units.has(above); above = parentOf(above)) {
    units.set(above, Object.assign(makeRow("group", unitId(above)), { unitPath: above, count: 0, members: [] }));
  }
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

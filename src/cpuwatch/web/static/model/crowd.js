/** Who runs while something is crowded, by the same rules as the library's query/crowd.py. Pure. */

import { isIn } from "./unit_name.js";

const MAX_CROWD = 3;
const MIN_PERCENT = 1;
const ONE_CPU_PERCENT = 100;

/**
 * The busiest of the processes `busiest` of a machine while this process or unit was crowded, otherwise none. Its own are
 * among them if it wants more than one CPU: its threads wait for each other.
 */
export function crowdOf(row, busiest = []) {
  if (row.verdict !== "crowded") return [];
  const isOwn = row.kind === "group" ? ({ cgroup }) => isIn(cgroup, row.unitPath) : ({ pid }) => pid === row.pid;
  // A unit includes its exited processes.
  const used = row.kind === "group" ? row.total_percent : row.cpu_percent;
  const wantsMore = (used ?? 0) + (row.wait_percent ?? 0) > ONE_CPU_PERCENT;
  return busiest.filter((other) => other.total_percent >= MIN_PERCENT && (wantsMore || !isOwn(other))).slice(0, MAX_CROWD);
}

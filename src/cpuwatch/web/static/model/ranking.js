/** The rows of a ranking, from a summary of the server. Pure. */

import { shownName, visible } from "./text.js";

/** The ways to group a ranking, and what the server calls them. */
export const GROUPS = { process: null, name: "name", user: "user", unit: "cgroup" };

export const GROUP_LABELS = { process: "process", name: "name", user: "user", unit: "unit" };

/**
 * `{rows, rest}`: the rows with the largest first, and the CPU seconds of all others. As in the table, the total of a
 * process contains its exited descendants, which have rows too.
 */
export function ranking({ processes, groups, exited = [], rest }) {
  const rows = processes ? [...processes.map(ofProcess), ...exited.map(ofExited)] : groups.map(ofGroup);
  return {
    rows: rows.filter(({ seconds }) => seconds > 0).sort((one, other) => other.seconds - one.seconds),
    rest: Math.max(0, processes ? rest.cpu_seconds + rest.exited_seconds : rest.cpu_seconds),
  };
}

const ofProcess = ({ name, pid, total_seconds: seconds, mean_percent: mean, peak_percent: peak }) => ({
  kind: "process", label: shownName({ name }), note: String(pid), seconds, mean, peak,
});

const ofExited = ({ name, parent_name: parent, cpu_seconds: seconds }) => ({
  kind: "exited", label: shownName({ name }), note: parent === null ? "" : `from ${visible(parent)}`, seconds, mean: null, peak: null,
});

const ofGroup = ({ group, cpu_seconds: seconds, mean_percent: mean, peak_percent: peak }) => ({
  kind: "group", label: shownName({ name: group }), note: "", seconds, mean, peak,
});

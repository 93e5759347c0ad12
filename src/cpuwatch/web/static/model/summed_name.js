/** The name of a process in sums by name; the same rule as the library's summed_name. Pure. */

export const KTHREADD = 2;

/** Kernel workers rename themselves after their current work, so all of them share one name. Others keep theirs. */
export function summedName(name, parentPid) {
  return parentPid === KTHREADD && name !== null && name.startsWith("kworker/") ? "kworker" : name;
}

/** The name under which a process counts in sums; the same rule as the library's summed_name. Pure. */

export const KTHREADD = 2;

/** Its own, but workers of the kernel change theirs with the work that they do: all of them count as one. */
export function summedName(name, parentPid) {
  return parentPid === KTHREADD && name !== null && name.startsWith("kworker/") ? "kworker" : name;
}

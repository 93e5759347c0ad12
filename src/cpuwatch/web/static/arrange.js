/** From a table of processes to the rows that are shown, in their order. Pure. */

import { grouped } from "./group.js";
import { comparison } from "./sort.js";
import { treeOrder, withAncestors } from "./tree.js";

export function arrange(table, state, test, closed) {
  const all = [...table.rows.values(), ...table.ended.values()];
  const compare = comparison(state.sort, state.descending);
  if (state.view === "tree") return treeOrder(withAncestors(all, test, table.byPid), compare, closed);
  const kept = state.filter === "" ? all : all.filter(test);
  if (state.view !== "") return grouped(kept, state.view).sort(compare);
  return kept.sort(compare);
}

/** The sum of the rows' own CPU use, in per cent of one CPU; branches of a tree are counted once. */
export function total(rows, isTree) {
  let sum = 0;
  for (const row of rows) if (!isTree || row.depth === 0) sum += row.cpu_percent ?? 0;
  return sum;
}

/** Turns a table of processes into the visible rows, in order. */

import { grouped } from "./group.js";
import { comparison, SortedRows } from "./sort.js";
import { depthFirst, treeOrder, withAncestors } from "./tree.js";
import { topUnits, unitTree } from "./unit_tree.js";

const TREES = ["tree", "unit"];

/** Whether the rows of this view have others below them. */
export const isTree = (view) => TREES.includes(view);

const everyRow = () => true;

/** Keeps the order of the last tick, because most of it is still right in the next. */
export class Arrangement {
  constructor() {
    this.sorted = new SortedRows();
  }

  rows(table, state, test, closed) {
    if (state.view === "tree") {
      const all = this.sorted.select(table, state, everyRow);
      const kept = state.filter === "" ? all : withAncestors(all, test, table.byPid);
      return treeOrder(kept, comparison(state.sort, state.descending), closed);
    }
    const kept = this.sorted.select(table, state, state.filter === "" ? everyRow : test);
    if (state.view === "") return kept;
    const compare = comparison(state.sort, state.descending);
    if (state.view === "unit") return depthFirst(topUnits(unitTree(kept, table.head, state.filter === "")), (units) => units.sort(compare), closed);
    return grouped(kept, state.view).sort(compare);
  }
}

/** The CPU use of all rows, in per cent of one CPU. In a tree, roots already contain their branches. */
export function total(rows, view) {
  const hasBranches = isTree(view);
  let sum = 0;
  for (const row of rows) {
    // The exited descendants of a process have their own rows, except in a tree, where its total contains them.
    const value = row.kind === "process" && !hasBranches ? row.cpu_percent : row.total_percent;
    if (!hasBranches || row.depth === 0) sum += value ?? 0;
  }
  return sum;
}

/** From a table of processes to the rows that are shown, in their order. */

import { grouped } from "./group.js";
import { comparison, SortedRows } from "./sort.js";
import { treeOrder, withAncestors } from "./tree.js";

const everyRow = () => true;

/** Remembers the order of the last tick, of which most is that of the next. */
export class Arrangement {
  constructor() {
    this.sorted = new SortedRows();
  }

  rows(table, state, test, closed) {
    if (state.view === "tree") {
      const all = this.sorted.take(table, state, everyRow);
      const kept = state.filter === "" ? all : withAncestors(all, test, table.byPid);
      return treeOrder(kept, comparison(state.sort, state.descending), closed);
    }
    const kept = this.sorted.take(table, state, state.filter === "" ? everyRow : test);
    return state.view === "" ? kept : grouped(kept, state.view).sort(comparison(state.sort, state.descending));
  }
}

/** The sum of the rows' own CPU use, in per cent of one CPU; branches of a tree are counted once. */
export function total(rows, isTree) {
  let sum = 0;
  for (const row of rows) if (!isTree || row.depth === 0) sum += row.cpu_percent ?? 0;
  return sum;
}

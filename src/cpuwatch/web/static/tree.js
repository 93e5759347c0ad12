/** Processes under their parents, each with the sum of its branch. Pure. */

import { addTo } from "./group.js";

/**
 * The rows in the order of the tree, copies with `depth`, `branch` ("open", "closed" or "" for a leaf) and sums.
 * Children are ordered by `compare`; those below an id in `closed` are left out.
 */
export function treeOrder(rows, compare, closed) {
  const byPid = new Map();
  for (const row of rows) if (row.kind === "process") byPid.set(row.pid, row);
  const children = new Map();
  const roots = [];
  for (const row of rows) {
    const parent = byPid.get(row.ppid);
    if (parent === undefined || goesRound(row, byPid)) roots.push(row);
    else if (children.has(parent)) children.get(parent).push(row);
    else children.set(parent, [row]);
  }
  const ordered = [];
  const sums = new Map();
  for (const root of roots) sumOf(root, children, sums);
  const bySum = (a, b) => compare(sums.get(a), sums.get(b));
  const stack = roots.sort(bySum).reverse().map((row) => [row, 0]);
  while (stack.length > 0) {
    const [row, depth] = stack.pop();
    const below = children.get(row);
    const shown = sums.get(row);
    shown.depth = depth;
    shown.branch = below === undefined ? "" : closed.has(row.id) ? "closed" : "open";
    ordered.push(shown);
    if (shown.branch !== "open") continue;
    below.sort(bySum);
    for (let index = below.length - 1; index >= 0; index -= 1) stack.push([below[index], depth + 1]);
  }
  return ordered;
}

/** Rows from anywhere may name each other as parents. */
function goesRound(row, byPid) {
  const seen = new Set();
  for (let above = row; above !== undefined; above = byPid.get(above.ppid)) {
    if (seen.has(above)) return true;
    seen.add(above);
    if (seen.size > 10_000) return true;
  }
  return false;
}

function sumOf(root, children, sums) {
  const order = [root];
  for (const row of order) for (const child of children.get(row) ?? []) order.push(child);
  for (let index = order.length - 1; index >= 0; index -= 1) {
    const row = order[index];
    const below = children.get(row);
    const sum = { ...row, members: [row] };
    if (below !== undefined) {
      for (const child of below) {
        addTo(sum, sums.get(child));
        sum.members.push(sums.get(child));
      }
    }
    sums.set(row, sum);
  }
}

/** Those that match, with all their ancestors, so that a filtered tree still hangs together. */
export function withAncestors(rows, test, byPid) {
  const kept = new Set();
  for (const row of rows) {
    if (!test(row)) continue;
    for (let at = row; at !== undefined && !kept.has(at); at = byPid.get(at.ppid)) kept.add(at);
  }
  return rows.filter((row) => kept.has(row));
}

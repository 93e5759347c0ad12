/** Arranges processes below their parents, each with the sum of its branch. Pure. */

import { add, EXITED, OWN } from "./group.js";
import { merged } from "./sort.js";

/**
 * The rows in tree order. Sets `depth` and `branch` ("open", "closed", or "" for a leaf) of each. Rows with children
 * are copies that hold the sums. `rows` must be sorted by `compare`; siblings are sorted the same way. Descendants of an
 * id in `closed` are omitted.
 */
export function treeOrder(rows, compare, closed) {
  const roots = linkChildren(rows);
  sumUp(parentsFirst(roots));
  return depthFirst(roots, (siblings) => inOrder(siblings, compare), closed);
}

/** The rows of a tree, each followed by those below it in the order of `arranged(siblings)`. Sets `depth` and `branch`. */
export function depthFirst(roots, arranged, closed) {
  const ordered = [];
  const stack = [];
  const push = (siblings, depth) => {
    const sorted = arranged(siblings);
    for (let index = sorted.length - 1; index >= 0; index -= 1) {
      sorted[index].depth = depth;
      stack.push(sorted[index]);
    }
  };
  push(roots, 0);
  while (stack.length > 0) {
    const row = stack.pop();
    ordered.push(row);
    row.branch = row.below === null ? "" : closed.has(row.id) ? "closed" : "open";
    if (row.branch === "open") push(row.below, row.depth + 1);
  }
  return ordered;
}

/** Sets `below`, the children of each row in the order of `rows`; returns the roots. */
function linkChildren(rows) {
  const byPid = new Map();
  for (const row of rows) {
    row.below = null;
    row.sum = null;
    if (row.kind === "process") byPid.set(row.pid, row);
  }
  const roots = [];
  for (const row of rows) {
    const parent = byPid.get(row.ppid);
    if (parent === undefined) roots.push(row);
    else if (parent.below === null) parent.below = [row];
    else parent.below.push(row);
  }
  cutCycles(rows, roots, byPid);
  return roots;
}

/** A backend may report rows that are each other's parents. Such a cycle is cut above its first row. */
function cutCycles(rows, roots, byPid) {
  let count = roots.length;
  for (const { below } of parentsFirst(roots)) count += below.length;
  if (count === rows.length) return;
  const reached = new Set();
  const reach = (row) => {
    reached.add(row);
    for (const parent of parentsFirst([row])) for (const child of parent.below) reached.add(child);
  };
  roots.forEach(reach);
  for (const row of rows) {
    if (reached.has(row)) continue;
    const parent = byPid.get(row.ppid);
    parent.below = parent.below.length > 1 ? parent.below.filter((child) => child !== row) : null;
    roots.push(row);
    reach(row);
  }
}

/** The rows with children among these and their descendants, each before its children. */
function parentsFirst(roots) {
  const parents = roots.filter(({ below }) => below !== null);
  for (const { below } of parents) for (const row of below) if (row.below !== null) parents.push(row);
  return parents;
}

/** Sets `sum` of each row with children: a copy that holds the sum of its branch. */
function sumUp(parents) {
  for (let index = parents.length - 1; index >= 0; index -= 1) {
    const row = parents[index];
    const sum = { ...row, members: [row] };
    for (const child of row.below) {
      const part = child.sum ?? child;
      add(sum, part, OWN);
      // The row's own exited_percent contains its exited children, unless the kernel only estimates them.
      if (part.kind !== "exited" || part.estimated) add(sum, part, EXITED);
      sum.members.push(part);
    }
    row.sum = sum;
  }
}

/** Leaves are in order already; sums are sorted and merged into them. */
function inOrder(siblings, compare) {
  const leaves = siblings.filter(({ below }) => below === null);
  if (leaves.length === siblings.length) return leaves;
  const sums = siblings.filter(({ below }) => below !== null).map(({ sum }) => sum);
  return merged(leaves, sums.sort(compare), compare);
}

/** The rows that match, with all their ancestors, so that a filtered tree stays connected. */
export function withAncestors(rows, test, byPid) {
  const kept = new Set();
  for (const row of rows) {
    if (!test(row)) continue;
    for (let at = row; at !== undefined && !kept.has(at); at = byPid.get(at.ppid)) kept.add(at);
  }
  return rows.filter((row) => kept.has(row));
}

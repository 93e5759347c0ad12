/** Processes under their parents, each with the sum of its branch. Pure. */

import { addTo } from "./group.js";
import { merged } from "./sort.js";

/**
 * The rows in the order of the tree, with `depth` and `branch` ("open", "closed" or "" for a leaf) written to them;
 * those with something below are copies that hold the sums. `rows` are sorted by `compare`, and so are children; those
 * below an id in `closed` are left out.
 */
export function treeOrder(rows, compare, closed) {
  const roots = hang(rows);
  sumUp(parentsFirst(roots));
  const ordered = [];
  const stack = [];
  const push = (siblings, depth) => {
    const sorted = inOrder(siblings, compare);
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

/** Write to each row those `below` it, in the order of `rows`; gives those that are below none. */
function hang(rows) {
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
  cutCircles(rows, roots, byPid);
  return roots;
}

/** Rows from anywhere may name each other as parents: such a circle is cut open above its first row. */
function cutCircles(rows, roots, byPid) {
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

/** Of these rows and all below them, those that have something below. */
function parentsFirst(roots) {
  const parents = roots.filter(({ below }) => below !== null);
  for (const { below } of parents) for (const row of below) if (row.below !== null) parents.push(row);
  return parents;
}

/** Write a copy with the `sum` of its branch to each row that has something below. */
function sumUp(parents) {
  for (let index = parents.length - 1; index >= 0; index -= 1) {
    const row = parents[index];
    const sum = { ...row, members: [row] };
    for (const child of row.below) {
      const part = child.sum ?? child;
      addTo(sum, part);
      sum.members.push(part);
    }
    row.sum = sum;
  }
}

/** Leaves stand in their order already, as `rows` did; sums have to find their places among them. */
function inOrder(siblings, compare) {
  const leaves = siblings.filter(({ below }) => below === null);
  if (leaves.length === siblings.length) return leaves;
  const sums = siblings.filter(({ below }) => below !== null).map(({ sum }) => sum);
  return merged(leaves, sums.sort(compare), compare);
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

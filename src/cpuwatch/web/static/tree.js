/** Processes under their parents, each with the sum of its branch. Pure. */

import { addTo } from "./group.js";

/**
 * The rows in the order of the tree, with `depth` and `branch` ("open", "closed" or "" for a leaf) written to them;
 * those with something below are copies that hold the sums. Children are ordered by `compare`; those below an id in
 * `closed` are left out.
 */
export function treeOrder(rows, compare, closed) {
  const { roots, children } = kinship(rows);
  const sums = roots.map((root) => summedBranch(root, children));
  const ordered = [];
  const stack = [];
  const push = (nodes, depth) => {
    nodes.sort((a, b) => compare(a.sum, b.sum));
    for (let index = nodes.length - 1; index >= 0; index -= 1) {
      nodes[index].sum.depth = depth;
      stack.push(nodes[index]);
    }
  };
  push(sums, 0);
  while (stack.length > 0) {
    const { sum, below } = stack.pop();
    sum.branch = below === null ? "" : closed.has(sum.id) ? "closed" : "open";
    ordered.push(sum);
    if (sum.branch === "open") push(below, sum.depth + 1);
  }
  return ordered;
}

/** Who is below whom. Rows from anywhere may name each other as parents; such a circle is cut open. */
function kinship(rows) {
  const byPid = new Map();
  for (const row of rows) if (row.kind === "process") byPid.set(row.pid, row);
  const children = new Map();
  const roots = [];
  const sound = new Set();
  for (const row of rows) {
    const parent = byPid.get(row.ppid);
    if (parent === undefined || closesCircle(row, byPid, sound)) roots.push(row);
    else if (children.has(parent)) children.get(parent).push(row);
    else children.set(parent, [row]);
  }
  return { roots, children };
}

function closesCircle(row, byPid, sound) {
  const line = [];
  let at = row;
  while (at !== undefined && !sound.has(at) && !(line.length > 0 && at === row)) {
    if (line.includes(at)) break;
    line.push(at);
    at = byPid.get(at.ppid);
  }
  if (at === row) return line.length > 0;
  // What leads to a root leads there from every place of the line; what leads into a circle is asked again.
  if (at === undefined || sound.has(at)) for (const passed of line) sound.add(passed);
  return false;
}

function summedBranch(root, children) {
  const top = { row: root, sum: root, below: null };
  const order = [top];
  for (const node of order) {
    const rows = children.get(node.row);
    if (rows === undefined) continue;
    node.below = rows.map((row) => ({ row, sum: row, below: null }));
    for (const child of node.below) order.push(child);
  }
  for (let index = order.length - 1; index >= 0; index -= 1) {
    const node = order[index];
    if (node.below === null) continue;
    node.sum = { ...node.row, members: [node.row] };
    for (const child of node.below) {
      addTo(node.sum, child.sum);
      node.sum.members.push(child.sum);
    }
  }
  return top;
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

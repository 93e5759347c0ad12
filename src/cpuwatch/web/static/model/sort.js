/** Rows in the order of a column. Pure but for SortedRows, which remembers. */

/** A comparison for Array.sort: by the column, then by CPU time and id, so that equal rows keep their places. */
export function comparison(key, descending) {
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const left = a[key];
    const right = b[key];
    if (left !== right) {
      // What is not known comes last in either direction.
      if (left === null) return 1;
      if (right === null) return -1;
      return left < right ? -sign : sign;
    }
    if (a.cpu_seconds !== b.cpu_seconds) return (b.cpu_seconds ?? -1) - (a.cpu_seconds ?? -1);
    if (a.pid !== b.pid) return (a.pid ?? 0) - (b.pid ?? 0);
    return a.id < b.id ? -1 : 1;
  };
}

/** Two sorted lists as one; quick where one of them is much shorter. */
export function merged(long, short, compare) {
  const all = [];
  let from = 0;
  for (const row of short) {
    let low = from;
    let high = long.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(long[middle], row) <= 0) low = middle + 1;
      else high = middle;
    }
    for (; from < low; from += 1) all.push(long[from]);
    all.push(row);
  }
  for (; from < long.length; from += 1) all.push(long[from]);
  return all;
}

/** The rows of a table in order, from tick to tick: only those that changed meanwhile are tested and placed anew. */
export class SortedRows {
  constructor() {
    this.rows = [];
    this.of = null;
    this.version = 0;
  }

  /** Those rows of `table` that pass `test`, which is asked again about a row only when that changes. */
  take(table, { sort, descending }, test) {
    const known = this.of;
    const same = known !== null && known.table === table && known.sort === sort && known.descending === descending && known.test === test;
    if (!same) {
      this.of = { table, sort, descending, test };
      this.rows = [];
      this.version = -1;
    }
    if (this.version === table.version) return this.rows;
    const compare = comparison(sort, descending);
    const still = this.rows.filter((row) => row.version <= this.version);
    const moved = [];
    for (const rows of [table.rows, table.ended]) {
      for (const row of rows.values()) if (row.version > this.version && test(row)) moved.push(row);
    }
    this.rows = merged(still, moved.sort(compare), compare);
    this.version = table.version;
    return this.rows;
  }
}

/** The rows in the order in which they stood before; those that are new come behind. */
export function heldOrder(before, rows) {
  const left = new Map();
  for (const row of rows) left.set(row.id, row);
  const held = [];
  for (const id of before) {
    const row = left.get(id);
    if (row === undefined) continue;
    held.push(row);
    left.delete(id);
  }
  for (const row of left.values()) held.push(row);
  return held;
}

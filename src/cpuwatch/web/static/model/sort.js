/** Sorts rows by a column. Everything is pure except SortedRows, which keeps the order of the last tick. */

/** A comparison for Array.sort: by the column, then by CPU time, PID and id, so that equal rows keep their places. */
export function comparison(key, descending) {
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const left = a[key];
    const right = b[key];
    if (left !== right) {
      // Unknown values come last in both directions.
      if (left === null) return 1;
      if (right === null) return -1;
      return left < right ? -sign : sign;
    }
    if (a.cpu_seconds !== b.cpu_seconds) return (b.cpu_seconds ?? -1) - (a.cpu_seconds ?? -1);
    if (a.pid !== b.pid) return (a.pid ?? 0) - (b.pid ?? 0);
    return a.id < b.id ? -1 : 1;
  };
}

/** Merges two sorted lists; fast if one is much shorter. */
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

/** The sorted rows of a table, from tick to tick. Only rows that changed since the last tick are tested and placed again. */
export class SortedRows {
  constructor() {
    this.rows = [];
    this.criteria = null;
    this.version = 0;
  }

  /** The rows of `table` that pass `test`. A row is tested again only after it changed. */
  select(table, { sort, descending }, test) {
    const known = this.criteria;
    const same = known?.table === table && known.sort === sort && known.descending === descending && known.test === test;
    if (!same) {
      this.criteria = { table, sort, descending, test };
      this.rows = [];
      this.version = -1;
    }
    if (this.version === table.version) return this.rows;
    const compare = comparison(sort, descending);
    const unchanged = this.rows.filter((row) => row.version <= this.version);
    const moved = [];
    for (const rows of [table.rows, table.exited]) {
      for (const row of rows.values()) if (row.version > this.version && test(row)) moved.push(row);
    }
    this.rows = merged(unchanged, moved.sort(compare), compare);
    this.version = table.version;
    return this.rows;
  }
}

/** Rows in their previous order; new rows come last. */
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

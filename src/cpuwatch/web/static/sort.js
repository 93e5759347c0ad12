/** Sorting rows by a column. Pure. */

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

/** The rows in the order in which they stood before; those that are new come behind. */
export function heldOrder(before, rows) {
  const place = new Map(before.map((id, index) => [id, index]));
  const known = rows.filter((row) => place.has(row.id)).sort((a, b) => place.get(a.id) - place.get(b.id));
  return known.concat(rows.filter((row) => !place.has(row.id)));
}

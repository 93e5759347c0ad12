/** The difference between two lists of processes: all that a tab needs to be sent. Pure. */

export function differences(known, processes) {
  const changed = [];
  const next = new Map();
  for (const row of processes) {
    next.set(row.key, row);
    const before = known.get(row.key);
    if (before === undefined || differs(before, row)) changed.push(row);
  }
  const gone = [];
  for (const key of known.keys()) if (!next.has(key)) gone.push(key);
  return { changed, gone, next };
}

function differs(before, row) {
  for (const field in row) if (row[field] !== before[field]) return true;
  return false;
}

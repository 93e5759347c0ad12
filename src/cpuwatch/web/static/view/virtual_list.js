/** Chooses the rows to keep in the document, from many of equal height. Pure. */

export const MAX_ROWS = 60;
const OVERSCAN = 5;

export function windowOf(count, rowHeight, scrollTop, viewHeight) {
  const fitting = Math.ceil(viewHeight / rowHeight) + 1;
  const wanted = Math.min(MAX_ROWS, fitting + 2 * OVERSCAN);
  const top = Math.max(0, Math.floor(scrollTop / rowHeight) - OVERSCAN);
  const first = Math.max(0, Math.min(top, count - wanted));
  const last = Math.min(count, first + wanted);
  return { first, last, above: first * rowHeight, below: (count - last) * rowHeight };
}

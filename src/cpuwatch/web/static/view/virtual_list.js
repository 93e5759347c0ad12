/** Which of many rows of equal height stand in the document. Pure. */

export const MOST_ROWS = 60;
const SPARE = 5;

export function windowOf(count, rowHeight, scrollTop, viewHeight) {
  const fitting = Math.ceil(viewHeight / rowHeight) + 1;
  const wanted = Math.min(MOST_ROWS, fitting + 2 * SPARE);
  const top = Math.max(0, Math.floor(scrollTop / rowHeight) - SPARE);
  const first = Math.max(0, Math.min(top, count - wanted));
  const last = Math.min(count, first + wanted);
  return { first, last, above: first * rowHeight, below: (count - last) * rowHeight };
}

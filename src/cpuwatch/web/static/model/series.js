/** The last values of one process, one per tick. Ticks without a value count as 0. */

export const SERIES_TICKS = 300;

export class Series {
  constructor(sequence) {
    this.values = new Float32Array(SERIES_TICKS);
    this.first = sequence;
    this.last = sequence - 1;
  }

  set(sequence, value) {
    if (sequence < this.first || sequence <= this.last) return;
    const from = Math.max(this.last + 1, sequence - SERIES_TICKS + 1);
    for (let at = from; at < sequence; at += 1) this.values[at % SERIES_TICKS] = 0;
    this.values[sequence % SERIES_TICKS] = value;
    this.last = sequence;
  }

  at(sequence) {
    if (sequence < this.first || sequence > this.last || sequence <= this.last - SERIES_TICKS) return 0;
    return this.values[sequence % SERIES_TICKS];
  }

  /** Adds the values of the ticks from `start` on to `sums`. */
  addTo(sums, start) {
    const from = Math.max(this.first, start, this.last - SERIES_TICKS + 1);
    const to = Math.min(this.last, start + sums.length - 1);
    for (let at = from, place = from % SERIES_TICKS; at <= to; at += 1) {
      sums[at - start] += this.values[place];
      place = place === SERIES_TICKS - 1 ? 0 : place + 1;
    }
  }
}

/**
 * The values of a row, or the sums over its members, for the `count` ticks up to `sequence`; NaN before `oldest`, the
 * first known tick.
 */
export function valuesOf(row, sequence, count, oldest = 0) {
  const sums = new Float32Array(count);
  const start = sequence - count + 1;
  const waiting = [row];
  while (waiting.length > 0) {
    const { members, series } = waiting.pop();
    if (members !== null) for (const member of members) waiting.push(member);
    else if (series !== null && series.last >= start) series.addTo(sums, start);
  }
  const unknown = oldest - start;
  return unknown > 0 ? sums.fill(NaN, 0, unknown) : sums;
}

/** The past of those processes that still live, made of the ticks that a server has kept. Pure. */

export class Past {
  /** `keys`: whose past is wanted. */
  constructor(keys) {
    this.keys = keys;
    this.ticks = [];
    this.values = new Map();
    this.first = null;
  }

  /** A snapshot; they come from the oldest on. */
  add({ sequence, time, machine, processes }) {
    this.first ??= sequence;
    this.ticks.push({ sequence, time, machine: { cpu_percent: machine.cpu_percent } });
    for (const { key, cpu_percent: percent } of processes) {
      if (!this.keys.has(key)) continue;
      let values = this.values.get(key);
      if (values === undefined) this.values.set(key, (values = []));
      while (values.length < sequence - this.first) values.push(0);
      values.push(percent);
    }
  }

  /** `{first, ticks, pasts}`, at most `rows` processes in each piece; the ticks are all in the first one. */
  pieces(rows) {
    const pasts = Array.from(this.values, ([key, values]) => [key, Float32Array.from(values)]);
    const pieces = [{ first: this.first, ticks: this.ticks, pasts: pasts.slice(0, rows) }];
    for (let at = rows; at < pasts.length; at += rows) pieces.push({ first: this.first, ticks: [], pasts: pasts.slice(at, at + rows) });
    return pieces;
  }
}

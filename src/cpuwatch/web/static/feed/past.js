/** The past of the running processes, collected from the ticks in the server's history. Pure. */

export class Past {
  /** `keys`: the processes to collect. */
  constructor(keys) {
    this.keys = keys;
    this.ticks = [];
    this.values = new Map();
    this.first = null;
  }

  /** Adds a snapshot. The oldest comes first. */
  add({ sequence, time, machine, attribution, processes }) {
    this.first ??= sequence;
    this.ticks.push({ sequence, time, machine: { cpu_percent: machine.cpu_percent }, attribution });
    for (const { key, cpu_percent: percent } of processes) {
      if (!this.keys.has(key)) continue;
      let values = this.values.get(key);
      if (values === undefined) this.values.set(key, (values = []));
      while (values.length < sequence - this.first) values.push(0);
      values.push(percent);
    }
  }

  /** `{first, ticks, pasts}` with at most `rows` processes in each chunk; the first chunk has all ticks. */
  chunks(rows) {
    const pasts = Array.from(this.values, ([key, values]) => [key, Float32Array.from(values)]);
    const chunks = [{ first: this.first, ticks: this.ticks, pasts: pasts.slice(0, rows) }];
    for (let at = rows; at < pasts.length; at += rows) chunks.push({ first: this.first, ticks: [], pasts: pasts.slice(at, at + rows) });
    return chunks;
  }
}

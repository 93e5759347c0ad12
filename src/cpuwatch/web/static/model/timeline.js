/** The machine's last minutes, one entry per tick. */

export class Timeline {
  constructor(maxTicks = 600) {
    this.maxTicks = maxTicks;
    this.ticks = [];
  }

  add({ sequence, time, machine, attribution }) {
    const tick = { sequence, time, milliseconds: Date.parse(time), busy: machine.cpu_percent, exited: attribution?.exited_percent ?? null };
    const last = this.ticks.at(-1);
    if (last && last.sequence >= sequence) return;
    this.ticks.push(tick);
    if (this.ticks.length > this.maxTicks) this.ticks.shift();
  }

  /** Adds older ticks before those that have arrived since. */
  prepend(older) {
    const newer = this.ticks;
    this.ticks = [];
    for (const tick of older) this.add(tick);
    for (const tick of newer) if (!this.ticks.length || tick.sequence > this.ticks.at(-1).sequence) this.ticks.push(tick);
  }

  get oldest() {
    return this.ticks[0] ?? null;
  }

  get newest() {
    return this.ticks.at(-1) ?? null;
  }

  /** The tick this many ticks after the one at exactly this time; null if either is unknown. */
  step(milliseconds, ticks) {
    const index = this.ticks.findIndex((tick) => tick.milliseconds === milliseconds);
    return index < 0 ? null : (this.ticks[index + ticks] ?? null);
  }

  /** The tick nearest to a time in milliseconds, or null if none is within `slackMilliseconds`. */
  nearest(wanted, slackMilliseconds = 5000) {
    let best = null;
    for (const tick of this.ticks) {
      const distance = Math.abs(tick.milliseconds - wanted);
      if (best === null || distance < Math.abs(best.milliseconds - wanted)) best = tick;
    }
    return best && Math.abs(best.milliseconds - wanted) <= slackMilliseconds ? best : null;
  }
}

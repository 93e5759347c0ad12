/** The machine's last minutes, one entry per tick. */

export class Timeline {
  constructor(maxTicks = 600) {
    this.maxTicks = maxTicks;
    this.ticks = [];
  }

  add({ sequence, time, machine }) {
    const tick = { sequence, milliseconds: Date.parse(time), busy: machine.cpu_percent };
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

  find(sequence) {
    return this.ticks.find((tick) => tick.sequence === sequence) ?? null;
  }

  /** The tick nearest to a time, or null if none is within `slackMilliseconds`. */
  nearest(time, slackMilliseconds = 5000) {
    const wanted = Date.parse(time);
    let best = null;
    for (const tick of this.ticks) {
      const distance = Math.abs(tick.milliseconds - wanted);
      if (best === null || distance < Math.abs(best.milliseconds - wanted)) best = tick;
    }
    return best && Math.abs(best.milliseconds - wanted) <= slackMilliseconds ? best : null;
  }
}

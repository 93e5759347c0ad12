/** Runs one task at a time; of those requested meanwhile, only the newest is kept. Pure. */

export class Newest {
  /** `run(task)` returns a promise that is never rejected. */
  constructor(run) {
    this.run = run;
    this.waiting = [];
    this.isBusy = false;
  }

  async ask(task) {
    this.waiting = [task];
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.waiting.length > 0) await this.run(this.waiting.pop());
    this.isBusy = false;
  }
}

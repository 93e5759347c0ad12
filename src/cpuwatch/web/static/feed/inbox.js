/** Puts the worker's messages into tables. Large snapshots arrive in chunks and are announced after the last one. */

import { ProcessTable } from "../model/process_table.js";
import { Timeline } from "../model/timeline.js";

export class Inbox {
  /**
   * `on`: state(state), tick(), chunk(table), moment(table, path), momentPast(message), timeline(timeline, path),
   * summary(summary, path), threads(threads, path), failed(kind, path, why) and pastComplete().
   * `live` is the newest table, `timeline` the machine's past; after a restart of the server, both are new.
   */
  constructor(on) {
    this.on = on;
    this.live = new ProcessTable();
    this.timeline = new Timeline();
    /** The table whose chunks are still arriving, or null. */
    this.filling = null;
    this.filled = null;
    this.handlers = {
      state: (message) => on.state(message),
      begin: (message) => this.begin(message),
      tick: (message) => this.tick(message),
      more: (chunk) => this.fill(this.filling, chunk),
      moment: (message) => this.moment(message),
      moment_past: (message) => on.momentPast(message),
      timeline: ({ timeline, path }) => on.timeline(timeline, path),
      summary: ({ summary, path }) => on.summary(summary, path),
      threads: ({ threads, path }) => on.threads(threads, path),
      failed: ({ kind, path, why }) => on.failed(kind, path, why),
      past: (message) => this.past(message),
    };
  }

  receive(message) {
    this.handlers[message.type](message);
  }

  begin(message) {
    this.live = new ProcessTable();
    this.timeline = new Timeline();
    this.tick(message);
  }

  tick({ type, changed, gone, last, ...head }) {
    this.live.begin(head, gone);
    this.filled = () => {
      this.timeline.add(head);
      this.on.tick();
    };
    this.fill(this.live, { changed, last });
  }

  moment({ type, path, changed, gone, last, ...head }) {
    const table = new ProcessTable();
    table.begin(head, gone);
    this.filled = () => this.on.moment(table, path);
    this.fill(table, { changed, last });
  }

  fill(table, { changed, last }) {
    this.filling = last ? null : table;
    table.add(changed);
    if (last) {
      table.settle();
      this.filled();
    } else {
      this.on.chunk(table);
    }
  }

  past({ first, ticks, pasts, last }) {
    this.live.fillPast(first, pasts);
    this.timeline.prepend(ticks);
    if (last) this.on.pastComplete();
  }
}

/** The threads of the process that is open. They are requested while their section is open and the page is visible. */

import { ThreadSection } from "./view/thread_section.js";

const INTERVAL_MS = 1000;
const MAX_THREADS = 50;

export class Threads {
  /** `page` has the feed and `paintSoon()`, which leads to `follow()`. */
  constructor(page) {
    this.page = page;
    this.view = new ThreadSection(() => page.paintSoon());
    this.key = null;
    this.path = null;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.ask());
  }

  /** Shows the threads of a process. `isNow`: the page shows the newest tick of a running machine. */
  follow(row, isNow, scale) {
    this.view.scale = scale;
    if (!this.view.isOpen) this.watch(null);
    else if (isNow && row.kind === "process") this.watch(row);
    else {
      this.watch(null);
      this.view.show(null, isNow ? "The process has exited." : "Threads are not recorded.");
    }
  }

  stop() {
    this.watch(null);
  }

  watch(row) {
    const key = row?.id ?? null;
    if (key === this.key) return;
    this.key = key;
    this.path = row && `cpu_usage/${row.pid}/threads?top=${MAX_THREADS}`;
    if (row) this.view.show(null);
    this.ask();
  }

  ask() {
    clearTimeout(this.timer);
    if (this.key !== null && !document.hidden) this.page.feed.request("threads", this.path);
  }

  arrive(threads, path) {
    if (path !== this.path) return;
    // Another process may have the PID now.
    if (threads.key === this.key) this.view.show(threads);
    else this.view.show(null, "The process has exited.");
    this.askLater();
  }

  fail(path, why) {
    if (path !== this.path) return;
    this.view.show(null, `No threads: ${why}`);
    this.askLater();
  }

  askLater() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), INTERVAL_MS);
  }
}

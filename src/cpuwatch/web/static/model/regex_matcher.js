/** A regular expression over rows. It may be as slow as it likes: the page waits for a moment, and never stands still. */

import { textsOf } from "./filter.js";

const WORKER = new URL("./regex_worker.js", import.meta.url);
const PATIENCE_MS = 1000;
// PIDs are texts as well, and of those there are ever more.
const MOST_KNOWN = 50_000;

export class RegexMatcher {
  /** `onNews` is called when there are answers that were not there before, `onTooSlow` when the regex was given up. */
  constructor(source, onNews, onTooSlow) {
    this.source = source;
    this.onNews = onNews;
    this.onTooSlow = onTooSlow;
    this.known = new Map();
    this.asked = new Set();
    this.worker = new Worker(WORKER, { type: "module" });
    this.busy = false;
  }

  /** Whether a row matches, as far as is known by now. */
  test(row) {
    let matches = false;
    for (const text of textsOf(row)) {
      if (text === null) continue;
      const found = this.known.get(text);
      if (found === undefined) this.asked.add(text);
      else matches = matches || found;
    }
    return matches;
  }

  /** Have what test() did not know looked at. */
  ask() {
    if (this.busy || this.asked.size === 0 || this.worker === null) return;
    const texts = [...this.asked];
    this.asked.clear();
    this.busy = true;
    const timer = setTimeout(() => {
      this.stop();
      this.onTooSlow();
    }, PATIENCE_MS);
    this.worker.onmessage = ({ data }) => {
      clearTimeout(timer);
      this.busy = false;
      if (this.known.size >= MOST_KNOWN) this.known.clear();
      texts.forEach((text, index) => this.known.set(text, data[index]));
      this.onNews();
    };
    this.worker.postMessage({ source: this.source, texts });
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
  }
}

/** Matches rows against a regular expression in a worker, which is stopped if it takes too long. The page never blocks. */

import { textsOf } from "./filter.js";

const WORKER = new URL("./regex_worker.js", import.meta.url);
const TIMEOUT_MS = 1000;
// The texts include PIDs, of which new ones keep coming.
const MAX_CACHED = 50_000;

export class RegexMatcher {
  /** `onResults` is called after each batch of results, `onTimeout` if the expression takes too long. */
  constructor(source, onResults, onTimeout) {
    this.source = source;
    this.onResults = onResults;
    this.onTimeout = onTimeout;
    this.known = new Map();
    this.pending = new Set();
    this.worker = new Worker(WORKER, { type: "module" });
    this.busy = false;
  }

  /** Whether a row matches, according to the results so far. */
  test(row) {
    let matches = false;
    for (const text of textsOf(row)) {
      if (text === null) continue;
      const found = this.known.get(text);
      if (found === undefined) this.pending.add(text);
      else matches = matches || found;
    }
    return matches;
  }

  /** Sends the texts that test() did not know to the worker. */
  submit() {
    if (this.busy || this.pending.size === 0 || this.worker === null) return;
    const texts = [...this.pending];
    this.pending.clear();
    this.busy = true;
    const timer = setTimeout(() => {
      this.stop();
      this.onTimeout();
    }, TIMEOUT_MS);
    this.worker.onmessage = ({ data }) => {
      clearTimeout(timer);
      this.busy = false;
      if (this.known.size >= MAX_CACHED) this.known.clear();
      texts.forEach((text, index) => this.known.set(text, data[index]));
      this.onResults();
    };
    this.worker.postMessage({ source: this.source, texts });
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
  }
}

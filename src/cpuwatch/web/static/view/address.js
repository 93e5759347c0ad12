/** Writes the state of the page to its address. */

// Browsers limit how often an address may change: Chromium to 200 times in ten seconds.
const MIN_INTERVAL_MS = 100;

export class Address {
  constructor() {
    this.fragment = location.hash;
    this.written = -Infinity;
    this.waiting = 0;
  }

  /** `isPlace`: the user can come back from here with the back button. */
  write(fragment, isPlace) {
    if (fragment === this.fragment) return;
    const left = this.fragment;
    this.fragment = fragment;
    const wait = this.written + MIN_INTERVAL_MS - performance.now();
    if (isPlace) {
      // What the user leaves may still be waiting.
      if (this.waiting) this.flush(left);
      history.pushState(null, "", location.pathname + location.search + fragment);
      this.written = performance.now();
    } else if (wait <= 0) this.flush(fragment);
    else this.waiting ||= setTimeout(() => this.flush(this.fragment), wait);
  }

  /** The user changed the address. */
  follow() {
    clearTimeout(this.waiting);
    this.waiting = 0;
    this.fragment = location.hash;
  }

  flush(fragment) {
    clearTimeout(this.waiting);
    this.waiting = 0;
    this.written = performance.now();
    history.replaceState(null, "", location.pathname + location.search + fragment);
  }
}

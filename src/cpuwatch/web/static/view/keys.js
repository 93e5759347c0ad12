/** Single keys that do something, unless somebody writes, or has switched them off (WCAG 2.2, 2.1.4). */

const STORED = "cpuwatch.keys";
const WRITES = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";
const SPACE_IS_THEIRS = "button, input, summary, a";

export class Keys {
  /** `actions`: what to do, by key. Escape works always. */
  constructor(actions) {
    this.actions = actions;
    this.on = localStorage.getItem(STORED) !== "off";
    document.addEventListener("keydown", (event) => this.press(event));
  }

  switchTo(on) {
    this.on = on;
    localStorage.setItem(STORED, on ? "on" : "off");
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const action = this.actions[event.key];
    if (action === undefined) return;
    if (event.key !== "Escape") {
      if (!this.on || event.target.closest?.(WRITES)) return;
      if (event.key === " " && event.target.closest?.(SPACE_IS_THEIRS)) return;
    }
    event.preventDefault();
    action();
  }
}

/** Single-key shortcuts, inactive while the user types and when switched off (WCAG 2.2, 2.1.4). */

const STORAGE_KEY = "cpuwatch.keys";
const TEXT_FIELDS = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";
const USES_SPACE = "button, input, summary, a";

export class Keys {
  /** `actions`: a function for each key. Escape works even when shortcuts are off. */
  constructor(actions) {
    this.actions = actions;
    this.on = localStorage.getItem(STORAGE_KEY) !== "off";
    document.addEventListener("keydown", (event) => this.press(event));
  }

  switchTo(on) {
    this.on = on;
    localStorage.setItem(STORAGE_KEY, on ? "on" : "off");
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const action = this.actions[event.key];
    if (action === undefined) return;
    if (event.key !== "Escape") {
      if (!this.on || event.target.closest?.(TEXT_FIELDS)) return;
      if (event.key === " " && event.target.closest?.(USES_SPACE)) return;
    }
    event.preventDefault();
    action();
  }
}

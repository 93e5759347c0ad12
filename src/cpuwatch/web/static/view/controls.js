/** The controls around the table: filter, view, scale, order, pause and help. */

import { columnOf, COLUMNS, SORTABLE } from "./columns.js";
import { byId, element, setAttribute, setText } from "./dom.js";

export class Controls {
  /**
   * `on`: filter(text), view(name), scale(name), sort(key, descending), turn(), pause(), live() and keys(isOn).
   */
  constructor(on, { areKeysOn }) {
    const listen = (id, type, handler) => byId(id).addEventListener(type, ({ target }) => handler(target));
    listen("filter", "input", ({ value }) => on.filter(value));
    listen("view", "change", ({ value }) => on.view(value));
    listen("scale", "change", ({ value }) => on.scale(value));
    byId("sort").append(...SORTABLE.map(({ key, label }) => element("option", { value: key, text: label })));
    listen("sort", "change", ({ value }) => on.sort(value, columnOf(value).descends));
    listen("direction", "click", () => on.turn());
    listen("pause", "click", () => on.pause());
    listen("live", "click", () => on.live());
    listen("help-open", "click", () => this.openHelp());
    byId("keys-on").checked = areKeysOn;
    listen("keys-on", "change", ({ checked }) => on.keys(checked));
    byId("columns").append(...COLUMNS.map(({ label, title }) => element("div", {}, element("dt", { text: label }), element("dd", { text: title }))));
  }

  openHelp() {
    byId("help").showModal();
  }

  focusFilter() {
    byId("filter").focus();
  }

  /** `moment` is a text about the moment shown. */
  show({ filter, view, scale, sort, descending }, { isHeld, isPaused, moment }) {
    if (byId("filter").value !== filter) byId("filter").value = filter;
    byId("view").value = view;
    byId("scale").value = scale;
    SORTABLE.forEach(({ views }, index) => (byId("sort").options[index].hidden = views === (view === "unit" ? "not-in-units" : "in-units")));
    byId("sort").value = sort;
    setText(byId("direction"), descending ? "▼" : "▲");
    setAttribute(byId("direction"), "aria-label", descending ? "Descending; reverse the order" : "Ascending; reverse the order");
    setText(byId("held"), isHeld ? "Order held while you are in the table" : "");
    setAttribute(byId("pause"), "aria-pressed", String(isPaused));
    setText(byId("pause-label"), isPaused ? "Resume" : "Pause");
    byId("live").hidden = !isPaused;
    setText(byId("moment"), moment);
  }

  note(text) {
    setText(byId("filter-note"), text);
  }
}

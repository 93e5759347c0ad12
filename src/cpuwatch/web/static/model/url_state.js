/** Converts the state of the page to the fragment of its address and back. Pure. */

const VIEWS = ["", "tree", "name", "user", "unit"];

export const DEFAULTS = Object.freeze({
  sort: "total_percent",
  descending: true,
  filter: "",
  view: "",
  scale: "core",
  at: null,
  open: null,
});

export function toFragment(state) {
  const parts = new URLSearchParams();
  if (state.at) parts.set("at", state.at);
  if (state.sort !== DEFAULTS.sort || state.descending !== DEFAULTS.descending) {
    parts.set("sort", (state.descending ? "-" : "") + state.sort);
  }
  if (state.filter) parts.set("filter", state.filter);
  if (state.view) parts.set("view", state.view);
  if (state.scale !== DEFAULTS.scale) parts.set("of", state.scale);
  if (state.open) parts.set("open", state.open);
  const text = parts.toString();
  return text ? `#${text}` : "";
}

/** Parses a fragment; invalid parts are ignored. `isSortable(key)` tells which columns exist. */
export function fromFragment(fragment, isSortable) {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const state = { ...DEFAULTS };
  const sort = parts.get("sort");
  if (sort && isSortable(sort.replace(/^-/, ""))) {
    state.sort = sort.replace(/^-/, "");
    state.descending = sort.startsWith("-");
  }
  state.filter = (parts.get("filter") ?? "").slice(0, 200);
  if (VIEWS.includes(parts.get("view"))) state.view = parts.get("view");
  if (parts.get("of") === "machine") state.scale = "machine";
  const at = parts.get("at");
  if (at && !Number.isNaN(Date.parse(at))) state.at = at;
  state.open = parts.get("open")?.slice(0, 100) || null;
  return state;
}

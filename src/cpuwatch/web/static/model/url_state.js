/** Converts the state of the page to the fragment of its address and back. Pure. */

import { GROUPS } from "./ranking.js";

const VIEWS = ["", "tree", "name", "user", "unit"];

/** The longest path of a cgroup has 4096 bytes. */
const MAX_OPEN_LENGTH = 4200;

export const DEFAULTS = Object.freeze({
  sort: "total_percent",
  descending: true,
  filter: "",
  view: "",
  scale: "core",
  at: null,
  open: null,
  // The part of the past in the chart: null for all, {seconds} up to the newest tick, or {from, to} in milliseconds.
  zoom: null,
  // The range that is ranked, {from, to} in milliseconds, and how it is grouped.
  range: null,
  by: "process",
});

export function toFragment(state) {
  const parts = new URLSearchParams();
  if (state.at) parts.set("at", state.at);
  if (state.zoom) parts.set("zoom", state.zoom.seconds === undefined ? intervalText(state.zoom) : String(state.zoom.seconds));
  if (state.range) parts.set("range", intervalText(state.range));
  if (state.by !== DEFAULTS.by) parts.set("by", state.by);
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
  const zoom = parts.get("zoom") ?? "";
  state.zoom = /^[1-9][0-9]{0,8}$/.test(zoom) ? { seconds: Number(zoom) } : interval(zoom);
  state.range = interval(parts.get("range") ?? "");
  if (Object.hasOwn(GROUPS, parts.get("by") ?? "")) state.by = parts.get("by");
  state.open = parts.get("open")?.slice(0, MAX_OPEN_LENGTH) || null;
  return state;
}

/** As in ISO 8601: two times and a slash. */
const intervalText = ({ from, to }) => `${new Date(from).toISOString()}/${new Date(to).toISOString()}`;

function interval(text) {
  const [from, to, ...more] = text.split("/").map((time) => Date.parse(time));
  return from < to && more.length === 0 ? { from, to } : null;
}

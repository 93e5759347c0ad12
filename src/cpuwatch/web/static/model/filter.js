/** Parses the text of the filter field. Pure; regular expressions run elsewhere, with a time limit. */

import { isIn } from "./unit_name.js";

const EXACT = /^(name|user|unit|pid|cgroup)=([^]*)$/;
export const MAX_FILTER_LENGTH = 200;
// The texts include PIDs, of which new ones keep coming.
const MAX_CACHED = 20_000;

/**
 * `{kind: "all"}`, `{kind: "exact", field, value}`, `{kind: "words", words}`, `{kind: "regex", source}`, or
 * `{kind: "invalid", why}`.
 */
export function parseFilter(text) {
  const trimmed = text.slice(0, MAX_FILTER_LENGTH).trim();
  if (trimmed === "") return { kind: "all" };
  const exact = EXACT.exec(trimmed);
  if (exact) return { kind: "exact", field: exact[1], value: exact[2] };
  if (trimmed.length > 1 && trimmed.startsWith("/")) {
    const source = trimmed.slice(1).replace(/\/$/, "");
    if (source === "") return { kind: "all" };
    try {
      new RegExp(source, "iu");
    } catch (error) {
      return { kind: "invalid", why: error.message.replace(/^Invalid regular expression: /, "") };
    }
    return { kind: "regex", source };
  }
  if (trimmed === "/") return { kind: "all" };
  return { kind: "words", words: trimmed.toLowerCase().split(/\s+/) };
}

/** The texts of a row that filters search. */
export function textsOf(row) {
  return [row.name, row.user, row.unit, row.pid === null ? null : String(row.pid)];
}

/** A predicate for every kind of filter except a regex. Searches each distinct text once. */
export function rowTest(filter) {
  if (filter.kind === "exact") {
    const { field, value } = filter;
    if (field === "cgroup") return (row) => isIn(row.unitPath, value);
    // A click on a group by name sets this filter, and processes in the group may have other names.
    const isInGroup = (row) => field === "name" && row.summedName === value;
    return (row) => (row[field] === null ? value === "" : String(row[field]) === value || isInGroup(row));
  }
  if (filter.kind === "words") {
    const holds = filter.words.map((word) => {
      const seen = new Map();
      return (text) => {
        if (text === null) return false;
        let found = seen.get(text);
        if (found === undefined) {
          if (seen.size >= MAX_CACHED) seen.clear();
          seen.set(text, (found = text.toLowerCase().includes(word)));
        }
        return found;
      };
    });
    return (row) => holds.every((hold) => hold(row.name) || hold(row.user) || hold(row.unit) || hold(String(row.pid ?? "")));
  }
  return () => true;
}

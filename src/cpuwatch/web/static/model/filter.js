/** What the text in the filter field means. Pure; a regex is run elsewhere, with a bound on its time. */

const EXACT = /^(name|user|unit|pid)=([^]*)$/;
export const LONGEST_FILTER = 200;
// PIDs are texts as well, and of those there are ever more.
const MOST_SEEN = 20_000;

/**
 * `{kind: "all"}`, `{kind: "exact", field, value}`, `{kind: "words", words}`, `{kind: "regex", source}`, or
 * `{kind: "bad", why}`.
 */
export function parseFilter(text) {
  const trimmed = text.slice(0, LONGEST_FILTER).trim();
  if (trimmed === "") return { kind: "all" };
  const exact = EXACT.exec(trimmed);
  if (exact) return { kind: "exact", field: exact[1], value: exact[2] };
  if (trimmed.length > 1 && trimmed.startsWith("/")) {
    const source = trimmed.slice(1).replace(/\/$/, "");
    if (source === "") return { kind: "all" };
    try {
      new RegExp(source, "iu");
    } catch (error) {
      return { kind: "bad", why: error.message.replace(/^Invalid regular expression: /, "") };
    }
    return { kind: "regex", source };
  }
  if (trimmed === "/") return { kind: "all" };
  return { kind: "words", words: trimmed.toLowerCase().split(/\s+/) };
}

/** The texts of a row that a filter looks at. */
export function textsOf(row) {
  return [row.name, row.user, row.unit, row.pid === null ? null : String(row.pid)];
}

/** A test of rows for all kinds but a regex. Each distinct text is looked at once. */
export function rowTest(filter) {
  if (filter.kind === "exact") {
    const { field, value } = filter;
    // A group by name leads here, and the processes in it may have other names of their own.
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
          if (seen.size >= MOST_SEEN) seen.clear();
          seen.set(text, (found = text.toLowerCase().includes(word)));
        }
        return found;
      };
    });
    return (row) => holds.every((hold) => hold(row.name) || hold(row.user) || hold(row.unit) || hold(String(row.pid ?? "")));
  }
  return () => true;
}

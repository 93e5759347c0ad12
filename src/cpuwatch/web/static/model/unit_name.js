/**
 * The names of cgroups that people know; the same rules as the library's cgroup_name.py. Pure.
 * tests/cgroup_names.json holds both to them.
 */

const CONTAINER = /^(?:([a-z][a-z-]*?)-)?([0-9a-f]{64})(?:\.scope)?$/;
const UNIT = /^[^]+\.(?:service|scope|socket|mount|swap|timer)$/;
const RUNTIMES = { libpod: "podman", "cri-containerd": "containerd", crio: "cri-o" };
const ESCAPES = /(?:\\x[0-9a-f]{2})+/g;
/** A slash too: a segment with one would look like two. */
const HIDDEN = /[/\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const known = new Map();
const MAX_KNOWN = 5000;

/** The path of the innermost unit or container that contains this cgroup; a path with neither stays as it is. */
export function unitPath(path) {
  if (path === null || path === undefined) return null;
  let unit = known.get(path);
  if (unit === undefined) {
    if (known.size >= MAX_KNOWN) known.clear();
    unit = unitSegments(path)?.join("/") ?? path;
    known.set(path, unit);
  }
  return unit;
}

/** For each of these the shortest name that none of the others could have, as a Map. */
export function unitNames(unitPaths) {
  const candidates = new Map();
  const counts = new Map();
  for (const path of new Set(unitPaths)) {
    const names = candidatesOf(path);
    candidates.set(path, names);
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const names = new Map();
  for (const [path, those] of candidates) names.set(path, those.find((name) => counts.get(name) === 1) ?? path);
  return names;
}

function unitSegments(path) {
  const segments = path.split("/");
  for (let index = segments.length - 1; index > 0; index -= 1) {
    if (CONTAINER.test(segments[index]) || UNIT.test(segments[index])) return segments.slice(0, index + 1);
  }
  return null;
}

function candidatesOf(path) {
  const segments = unitSegments(path);
  if (segments === null) return [path];
  const readable = segments.map(unescaped);
  const names = new Set([shortName(segments)]);
  for (let index = readable.length - 1; index >= 0; index -= 1) names.add(readable.slice(index).join("/"));
  return [...names.add(path)];
}

function shortName(segments) {
  const container = CONTAINER.exec(segments.at(-1));
  if (container === null) return unescaped(segments.at(-1));
  const runtime = container[1] ?? ofFolder(segments.at(-2));
  return `${RUNTIMES[runtime] ?? runtime} ${container[2].slice(0, 12)}`;
}

function unescaped(segment) {
  return segment.replace(ESCAPES, (run) => {
    const bytes = run.slice(2).split("\\x").map((digits) => parseInt(digits, 16));
    let text = "";
    for (let at = 0; at < bytes.length; ) {
      const character = characterAt(bytes, at);
      const length = character === null ? 1 : utf8Length(bytes[at]);
      const isShown = character !== null && !HIDDEN.test(character);
      text += isShown ? character : bytes.slice(at, at + length).map(escaped).join("");
      at += length;
    }
    return text;
  });
}

function characterAt(bytes, at) {
  try {
    return utf8.decode(Uint8Array.from(bytes.slice(at, at + utf8Length(bytes[at]))));
  } catch {
    return null;
  }
}

/** Of the character that begins with this byte, if one does. */
function utf8Length(first) {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

function escaped(byte) {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

function ofFolder(name) {
  if (["docker", "lxc", "podman"].includes(name)) return name;
  return name.startsWith("kubepods") || name.startsWith("pod") ? "pod" : "container";
}

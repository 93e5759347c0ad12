/**
 * Readable names of cgroups, by the same rules as the library's cgroup_name.py and container_cgroup.py. Pure.
 * Both are tested against tests/cgroup_names.json.
 */

const CONTAINER = /^(?:([a-z][a-z-]*?)-)?([0-9a-f]{64})(?:\.scope)?$/;
const UID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}";
const POD_SLICE = new RegExp(`^(?:[\\w.]+-)*kubepods(?:-besteffort|-burstable)?-pod(${UID})\\.slice$`);
const POD_FOLDER = new RegExp(`^pod(${UID})$`);
const FOLDERS_OF_PODS = ["kubepods", "burstable", "besteffort"];
const UNIT = /^[^]+\.(?:service|scope|socket|mount|swap|timer)$/;
const SLICE = /^[^]+\.slice$/;
const RUNTIMES = { libpod: "podman", "cri-containerd": "containerd", crio: "cri-o" };
const ESCAPES = /(?:\\x[0-9a-f]{2})+/g;
/** Includes the slash: a segment that contains one would look like two. */
const HIDDEN = /[/\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const known = new Map();
const MAX_KNOWN = 5000;

/** The path of the innermost unit, container or pod that contains this cgroup, or the path itself. */
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

/** Whether a cgroup is the one at `path` or below it. */
export function isIn(unitPath, path) {
  return unitPath === path || (unitPath !== null && path !== null && (path === "/" || unitPath.startsWith(`${path}/`)));
}

/** Whether a cgroup is a row in a tree of units. A directory in a unit is a part of it, unless it is a slice. */
export function hasRow(path) {
  return unitPath(path) === path || SLICE.test(path);
}

/** The name of a cgroup in a tree, where the rows above it show where it is: that of a unit, a slice, or the path. */
export function nameInTree(path) {
  const segments = path.split("/");
  if (unitPath(path) === path && unitSegments(path) !== null) return shortName(segments);
  return SLICE.test(segments.at(-1)) ? unescaped(segments.at(-1)) : path;
}

/** Maps each path to its shortest name that no other path could have. `given` has names of containers and pods by path. */
export function unitNames(unitPaths, given = new Map()) {
  const candidates = new Map();
  const counts = new Map();
  for (const path of new Set(unitPaths)) {
    const names = given.has(path) ? [...new Set([given.get(path), ...candidatesOf(path)])] : candidatesOf(path);
    candidates.set(path, names);
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const names = new Map();
  for (const [path, options] of candidates) names.set(path, options.find((name) => counts.get(name) === 1) ?? path);
  return names;
}

function unitSegments(path) {
  const segments = path.split("/");
  for (let index = segments.length - 1; index > 0; index -= 1) {
    const isUnit = CONTAINER.test(segments[index]) || UNIT.test(segments[index]) || podOf(segments, index) !== null;
    if (isUnit) return segments.slice(0, index + 1);
  }
  return null;
}

function candidatesOf(path) {
  const segments = unitSegments(path);
  if (segments?.join("/") !== path) return [path];
  const readable = segments.map(unescaped);
  const names = new Set([shortName(segments)]);
  for (let index = readable.length - 1; index >= 0; index -= 1) names.add(readable.slice(index).join("/"));
  return [...names.add(path)];
}

function shortName(segments) {
  const container = CONTAINER.exec(segments.at(-1));
  if (container !== null) {
    const runtime = container[1] ?? runtimeOfFolder(segments.at(-2));
    return `${RUNTIMES[runtime] ?? runtime} ${container[2].slice(0, 12)}`;
  }
  const uid = podOf(segments, segments.length - 1);
  return uid === null ? unescaped(segments.at(-1)) : `pod ${uid.slice(0, 8)}`;
}

/** The UID of the pod whose cgroup this segment is, or null. */
function podOf(segments, index) {
  const inFolder = FOLDERS_OF_PODS.includes(segments[index - 1]) ? POD_FOLDER.exec(segments[index]) : null;
  return (POD_SLICE.exec(segments[index]) ?? inFolder)?.[1] ?? null;
}

function unescaped(segment) {
  return segment.replace(ESCAPES, (run) => {
    const bytes = run.slice(2).split("\\x").map((digits) => parseInt(digits, 16));
    let text = "";
    for (let at = 0; at < bytes.length; ) {
      const character = characterAt(bytes, at);
      const length = character === null ? 1 : utf8Length(bytes[at]);
      const isVisible = character !== null && !HIDDEN.test(character);
      text += isVisible ? character : bytes.slice(at, at + length).map(escaped).join("");
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

/** The length of a character that starts with this byte. */
function utf8Length(first) {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

function escaped(byte) {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

function runtimeOfFolder(name) {
  return ["docker", "lxc", "podman"].includes(name) ? name : "container";
}

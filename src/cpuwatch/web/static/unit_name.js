/** The name of a cgroup that people know; the same rules as the library's cgroup_name. Pure. */

const CONTAINER = /^(?:([a-z][a-z-]*?)-)?([0-9a-f]{64})(?:\.scope)?$/;
const UNIT = /^.+\.(?:service|scope|socket|mount|swap|timer)$/;
const RUNTIMES = { libpod: "podman", "cri-containerd": "containerd", crio: "cri-o" };

const known = new Map();
const MOST_KNOWN = 5000;

export function unitName(path) {
  if (path === null || path === undefined) return null;
  let name = known.get(path);
  if (name === undefined) {
    if (known.size >= MOST_KNOWN) known.clear();
    name = derived(path);
    known.set(path, name);
  }
  return name;
}

function derived(path) {
  const segments = path.split("/");
  for (let index = segments.length - 1; index > 0; index -= 1) {
    const container = CONTAINER.exec(segments[index]);
    if (container) {
      const runtime = container[1] ?? ofFolder(segments[index - 1]);
      return `${RUNTIMES[runtime] ?? runtime} ${container[2].slice(0, 12)}`;
    }
    if (UNIT.test(segments[index])) {
      return segments[index].replace(/\\x([0-9a-f]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
    }
  }
  return path;
}

function ofFolder(name) {
  if (["docker", "lxc", "podman"].includes(name)) return name;
  return name.startsWith("kubepods") || name.startsWith("pod") ? "pod" : "container";
}

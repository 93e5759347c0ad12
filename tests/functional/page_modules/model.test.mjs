// The modules in model/. Run by test_page_modules.py, which sets the environment.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE_MODULES}/${name}`));
const { comparison, heldOrder, merged } = await load("model/sort.js");
const { parseFilter, rowTest } = await load("model/filter.js");
const { grouped } = await load("model/group.js");
const { Arrangement, total } = await load("model/arrange.js");
const { treeOrder, withAncestors } = await load("model/tree.js");
const { fromFragment, toFragment, DEFAULTS } = await load("model/url_state.js");
const { Series, SERIES_TICKS, valuesOf } = await load("model/series.js");
const { sparkPath } = await load("view/sparkline.js");
const { ProcessTable } = await load("model/process_table.js");
const { makeRow, UNIT_FIELDS } = await load("model/row.js");
const { duration, percent, visible } = await load("model/text.js");
const { missingProcesses } = await load("model/missing_processes.js");
const { summedName } = await load("model/summed_name.js");
const { processesIn, unitId, unitWithId } = await load("model/unit_tree.js");
const { crowdOf } = await load("model/crowd.js");
const { stolenShare, verdictOf } = await load("model/verdict.js");
const { unitNames, unitPath } = await load("model/unit_name.js");

const IDLE_MACHINE = { cpu_percent: 0, steal_percent: 0 };

let seed = 1;
const random = (below) => (seed = (seed * 48271) % 2147483647) % below;

function row(pid, more = {}) {
  return Object.assign(makeRow("process", `k${pid}`), { pid, name: `p${pid}`, cpu_percent: 0, cpu_seconds: 0 }, more);
}

const processOf = (key, pid, percent) => ({ key, pid, ppid: 1, name: key, user: "u", state: "S", threads: 1, cpu_percent: percent,
  user_percent: 0, system_percent: 0, exited_percent: 0, cpu_seconds: 1, start_time: "2026-01-01T00:00:00Z", first_seen: "2026-01-01T00:00:00Z" });

function tickOf(sequence, cgroups, exited = []) {
  const head = { sequence, time: new Date(sequence * 1000).toISOString(), exited };
  const changed = Object.entries(cgroups).map(([pid, cgroup]) => ({
    key: `k${pid}`, pid: Number(pid), ppid: 1, name: "n", user: "u", state: "S", threads: 1, cgroup, cpu_percent: 1,
    user_percent: 1, system_percent: 0, exited_percent: 0, cpu_seconds: 1, start_time: head.time, first_seen: head.time,
  }));
  return { ...head, changed, gone: [] };
}

test("sorting works in both directions, and unknown values come last in both", () => {
  const rows = [row(1, { cpu_percent: 5 }), row(2, { cpu_percent: null }), row(3, { cpu_percent: 9 })];
  assert.deepEqual([...rows].sort(comparison("cpu_percent", true)).map(({ pid }) => pid), [3, 1, 2]);
  assert.deepEqual([...rows].sort(comparison("cpu_percent", false)).map(({ pid }) => pid), [1, 3, 2]);
});

test("equal rows have one order, whatever their previous one", () => {
  const rows = [3, 1, 2].map((pid) => row(pid));
  for (const descending of [true, false]) {
    assert.deepEqual([...rows].sort(comparison("cpu_percent", descending)).map(({ pid }) => pid), [1, 2, 3]);
  }
});

test("a held order keeps places, drops missing rows and puts new rows last", () => {
  const rows = [row(4), row(1), row(3)];
  assert.deepEqual(heldOrder(["k1", "k2", "k3"], rows).map(({ pid }) => pid), [1, 3, 4]);
});

test("a filter is words, an exact value or a regular expression", () => {
  const bash = row(77, { name: "Bash", user: "root", unit: "ssh.service" });
  const holds = (text) => rowTest(parseFilter(text))(bash);
  assert.ok(holds("bas") && holds("ROOT ssh") && holds("77") && holds("name=Bash") && holds("  "));
  assert.ok(!holds("bash nobody") && !holds("name=bash") && !holds("user=ro"));
  assert.deepEqual(parseFilter("/a|b/"), { kind: "regex", source: "a|b" });
  assert.equal(parseFilter("/(/").kind, "invalid");
  assert.equal(parseFilter("/").kind, "all");
  assert.equal(parseFilter("a".repeat(9999)).words[0].length, 200);
});

test("the name in sums is the library's", () => {
  for (const [name, parent, expected] of JSON.parse(process.env.SUMMED_NAMES)) assert.equal(summedName(name, parent), expected);
  assert.equal(summedName(null, 2), null);
});

test("kernel workers form one group, whatever their current work, and a click on it finds them", () => {
  const table = new ProcessTable();
  const names = ["kthreadd", "kworker/0:1-events", "kworker/u4:2+flush-8:0", "kworker/0:1-mine"];
  const processes = names.map((name, index) => ({ key: `k${index}`, pid: index + 2, ppid: index === 3 ? 1 : index && 2, name, cpu_percent: 1 }));
  table.apply({ sequence: 1, changed: processes, gone: [], exited: [{ name: "kworker/0:0", user: "root", parent_pid: 2, count: 1, cpu_percent: 1 }] });
  const rows = [...table.rows.values(), ...table.exited.values()];
  const groups = new Map(grouped(rows, "name").map((group) => [group.name, group]));
  assert.deepEqual([...groups.keys()], ["kthreadd", "kworker", "kworker/0:1-mine"]);
  assert.equal(groups.get("kworker").total_percent, 3);
  assert.equal(rows.filter(rowTest(parseFilter("name=kworker"))).length, 3);
  assert.equal(rows[1].name, "kworker/0:1-events");
});

test("where PID 2 is an ordinary process, its children keep their names in sums", () => {
  const table = new ProcessTable();
  const processes = ["sh", "kworker/0:1-mine"].map((name, index) => ({ key: `k${index}`, pid: index + 2, ppid: index && 2, name, cpu_percent: 1 }));
  table.apply({ sequence: 1, changed: processes, gone: [], exited: [] });
  assert.deepEqual(grouped([...table.rows.values()], "name").map(({ name }) => name), ["sh", "kworker/0:1-mine"]);
});

test("groups and trees add up to the rows", () => {
  const rows = [];
  for (let pid = 1; pid <= 60; pid += 1) rows.push(row(pid, { ppid: random(pid), name: `n${random(5)}`, cpu_percent: random(7) }));
  const sum = rows.reduce((all, one) => all + one.cpu_percent, 0);
  assert.equal(grouped(rows, "name").reduce((all, one) => all + one.cpu_percent, 0), sum);
  const compare = comparison("cpu_percent", true);
  const tree = treeOrder([...rows].sort(compare), compare, new Set());
  for (let at = 1; at < tree.length; at += 1) {
    const older = tree.slice(0, at).findLast(({ ppid }) => ppid === tree[at].ppid);
    if (older && older.depth === tree[at].depth) assert.ok(compare(older, tree[at]) <= 0);
  }
  assert.equal(tree.length, rows.length);
  assert.equal(tree.filter(({ depth }) => depth === 0).reduce((all, one) => all + one.cpu_percent, 0), sum);
  const places = new Map(tree.map(({ pid }, index) => [pid, index]));
  for (const { pid, ppid } of tree) if (places.has(ppid)) assert.ok(places.get(ppid) < places.get(pid));
});

test("a closed branch hides its descendants and keeps its sum", () => {
  const rows = [row(1, { cpu_percent: 1 }), row(2, { ppid: 1, cpu_percent: 2 }), row(3, { ppid: 2, cpu_percent: 4 })];
  const [only] = treeOrder(rows, comparison("pid", false), new Set(["k1"]));
  assert.equal(only.branch, "closed");
  assert.equal(only.cpu_percent, 7);
});

test("parents that form a cycle are all shown, once", () => {
  const rows = [row(1, { ppid: 2 }), row(2, { ppid: 1 }), row(3, { ppid: 3 }), row(4, { ppid: 1 })];
  const tree = treeOrder(rows, comparison("pid", false), new Set());
  assert.deepEqual(tree.map(({ pid }) => pid).sort(), [1, 2, 3, 4]);
});

test("placing only changed rows gives the same order as sorting all", () => {
  for (const view of ["", "tree"]) {
    const table = new ProcessTable();
    const arrangement = new Arrangement();
    const state = { sort: "cpu_percent", descending: true, filter: "n", view };
    const test = ({ name }) => name !== null && !name.startsWith("n3");
    const closed = new Set(["k4"]);
    for (let sequence = 1; sequence < 60; sequence += 1) {
      const changed = [];
      const gone = [...table.rows.keys()].filter(() => random(9) === 0);
      for (let pid = 1; pid < 40; pid += 1) if (random(3) === 0) changed.push({ ...processOf(`k${pid}`, pid, random(5)), ppid: random(pid), name: `n${random(8)}` });
      const exited = random(2) ? [{ name: `n${random(4)}`, user: "u", parent_pid: random(40), count: 3, cpu_percent: random(9) }] : [];
      table.apply({ sequence, exited, changed, gone: gone.filter((key) => !changed.some((one) => one.key === key)) });
      const shown = arrangement.rows(table, state, test, closed).map(({ id, cpu_percent: percent }) => [id, percent]);
      assert.deepEqual(shown, new Arrangement().rows(table, state, test, closed).map(({ id, cpu_percent: percent }) => [id, percent]));
      if (view === "") {
        const all = [...table.rows.values(), ...table.exited.values()].filter(test).sort(comparison("cpu_percent", true));
        assert.deepEqual(shown.map(([id]) => id), all.map(({ id }) => id));
      }
    }
  }
});

test("merging two sorted lists sorts their union", () => {
  const compare = (a, b) => a - b;
  for (let round = 0; round < 300; round += 1) {
    const lists = [random(30), random(30)].map((length) => Array.from({ length }, () => random(40)).sort(compare));
    assert.deepEqual(merged(...lists, compare), lists.flat().sort(compare));
  }
});

test("a filtered tree keeps the ancestors of matching rows", () => {
  const rows = [row(1), row(2, { ppid: 1 }), row(3, { ppid: 2 }), row(4, { ppid: 1 })];
  const byPid = new Map(rows.map((one) => [one.pid, one]));
  assert.deepEqual(withAncestors(rows, ({ pid }) => pid === 3, byPid).map(({ pid }) => pid), [1, 2, 3]);
});

const isColumn = (key) => ["cpu_percent", "name"].includes(key);

test("the state survives the address", () => {
  for (const sort of ["cpu_percent", "name"]) {
    for (const descending of [true, false]) {
      for (const view of ["", "tree", "user"]) {
        const state = { ...DEFAULTS, sort, descending, view, filter: "a&b=c #/(é)/", scale: "machine", at: "2026-11-24T04:00:00.123456Z", open: "12:99" };
        assert.deepEqual(fromFragment(toFragment(state), isColumn), state);
      }
    }
  }
  assert.equal(toFragment(DEFAULTS), "");
});

test("an invalid address gives the defaults", () => {
  assert.deepEqual(fromFragment("#sort=-__proto__&view=x&of=y&at=never&filter=&open=", isColumn), DEFAULTS);
});

test("a series keeps its last ticks and counts missing ones as 0", () => {
  const series = new Series(5);
  const truth = new Map();
  for (let at = 5; at < 1500; at += 1 + random(9)) {
    series.set(at, at);
    truth.set(at, at);
    for (let back = 0; back < 40; back += 1) assert.equal(series.at(at - back), truth.get(at - back) ?? 0);
  }
  series.set(20_000, 1);
  assert.equal(series.at(20_000 - SERIES_TICKS + 1), 0);
});

test("values are summed over members, and unknown before the first tick", () => {
  const one = row(1, { series: new Series(8) });
  one.series.set(9, 3);
  const both = row(2, { members: [one, row(3, { members: [one] })] });
  assert.deepEqual([...valuesOf(both, 10, 4, 8)], [NaN, 0, 6, 0]);
  assert.equal(sparkPath(Float32Array.of(NaN, NaN)), "");
  assert.equal(sparkPath(Float32Array.of(NaN, 0, 0, 100, 100, 0)), "M1,19H2L3,1H4L5,19");
});

test("rows of exited processes fade and disappear", () => {
  const table = new ProcessTable();
  table.apply({ sequence: 1, exited: [], changed: [processOf("a", 10, 5)], gone: [] });
  const storm = { name: "true", user: "root", parent_pid: 1, count: 900, cpu_percent: 80 };
  table.apply({ sequence: 2, exited: [storm], changed: [], gone: ["a"] });
  assert.deepEqual([...table.exited.values()].map(({ kind, total_percent: percent }) => [kind, percent]), [["gone", null], ["exited", 80]]);
  for (let sequence = 3; sequence < 10; sequence += 1) table.apply({ sequence, exited: [], changed: [], gone: [] });
  assert.equal(table.exited.size + table.rows.size, 0);
});

test("a reused PID belongs to the new process", () => {
  const table = new ProcessTable();
  table.apply({ sequence: 1, exited: [], changed: [processOf("old", 10, 5)], gone: [] });
  table.apply({ sequence: 2, exited: [], changed: [processOf("new", 10, 6)], gone: ["old"] });
  assert.equal(table.byPid.get(10).id, "new");
});

test("characters that hide or reorder text are escaped", () => {
  assert.equal(visible("a\u202eb\n\x1b\u200f\u{e0041} c"), "a\\u202eb\\n\\x1b\\u200f\\U000e0041 c");
  assert.equal(visible("schön 🔥 <b>"), "schön 🔥 <b>");
});

test("a percentage has one decimal below a thousand", () => {
  assert.deepEqual([null, 0, 0.04, 99.96, 999.94, 999.95, 38_400].map(percent), ["–", "0.0", "0.0", "100.0", "999.9", "1000", "38400"]);
});

test("durations look like those of top", () => {
  assert.deepEqual([0, 7.259, 599.999, 725, 11_520, 370_800].map(duration), ["0:00.00", "0:07.25", "9:59.99", "12:05", "3 h 12 m", "4 d 7 h"]);
});

test("units have the library's names", () => {
  for (const { about, shown, given = {} } of JSON.parse(readFileSync(process.env.CGROUP_NAMES, "utf8"))) {
    const names = unitNames(Object.keys(shown).map(unitPath), new Map(Object.entries(given)));
    for (const [path, name] of Object.entries(shown)) assert.equal(names.get(unitPath(path)), name, about);
  }
  assert.equal(unitPath(null), null);
});

test("a unit's name gets longer while another has the same name", () => {
  const table = new ProcessTable();
  const unitsOf = () => [...table.rows.values()].map(({ unit }) => unit);
  table.apply(tickOf(1, { 1: "/s/nginx.service", 2: "/s/nginx.service/worker", 3: null }));
  assert.deepEqual(unitsOf(), ["nginx.service", "nginx.service", null]);
  const version = table.rows.get("k1").version;
  table.apply(tickOf(2, { 4: "/lxc/7/nginx.service" }, [{ parent_pid: 4, user: "u", name: "cc1", count: 2, cpu_percent: 5 }]));
  assert.deepEqual(unitsOf(), ["s/nginx.service", "s/nginx.service", null, "7/nginx.service"]);
  assert.ok(table.rows.get("k1").version > version, "renamed rows count as changed");
  table.apply({ ...tickOf(3, {}), gone: ["k4"] });
  for (let sequence = 4; table.exited.size > 0; sequence += 1) table.apply(tickOf(sequence, {}));
  assert.deepEqual(unitsOf(), ["nginx.service", "nginx.service", null]);
  assert.deepEqual(table.copy().unitNames, table.unitNames);
});

/** Processes by PID: the path of their cgroup and their CPU use. */
function unitsTable(processes, head = {}) {
  const table = new ProcessTable();
  const changed = Object.entries(processes).map(([pid, [cgroup, percent, wait = 0, throttled = 0]]) => ({
    ...processOf(`k${pid}`, Number(pid), percent), total_percent: percent, cgroup, wait_percent: wait, throttled_percent: throttled,
  }));
  table.apply({ sequence: 1, machine: IDLE_MACHINE, exited: [], changed, gone: [], ...head });
  return table;
}

const rowsOf = (table, state = {}, closed = new Set()) => new Arrangement().rows(table, { ...DEFAULTS, view: "unit", ...state }, state.test ?? null, closed);

const NGINX = "/system.slice/nginx.service";
const NESTED = { 1: ["/init.scope", 1], 2: ["/", 0.5], 3: [NGINX, 10], 4: [`${NGINX}/worker`, 20], 5: ["/system.slice/cron.service", 40], 6: [null, 2], 7: ["/lxc/7/system.slice/nginx.service", 60] };

test("units are below the slices and directories that contain them, each with the sum of its branch", () => {
  const rows = rowsOf(unitsTable(NESTED));
  assert.deepEqual(rows.map(({ depth, name, count, total_percent: percent, branch }) => [depth, name, count, percent, branch]), [
    [0, "/", 6, 131.5, "open"],
    [1, "system.slice", 3, 70, "open"],
    [2, "cron.service", 1, 40, ""],
    [2, "nginx.service", 2, 30, ""],
    [1, "/lxc", 1, 60, "open"],
    [2, "/lxc/7", 1, 60, "open"],
    [3, "system.slice", 1, 60, "open"],
    [4, "nginx.service", 1, 60, ""],
    [1, "init.scope", 1, 1, ""],
    [0, null, 1, 2, ""],
  ]);
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length, "two units of the same name are two");
});

test("a unit that contains others has its own processes and theirs", () => {
  const rows = rowsOf(unitsTable({ 1: ["/u.service", 1], 2: ["/u.service/x/a.slice/b.scope", 2], 3: ["/u.service/x/a.slice/c.scope", 4] }));
  // A directory in a unit is a part of it.
  assert.deepEqual(rows.slice(1).map(({ name, count, total_percent: percent }) => [name, count, percent]), [["u.service", 3, 7], ["a.slice", 2, 6], ["c.scope", 1, 4], ["b.scope", 1, 2]]);
});

test("a branch of units collapses, and its order is that of the table", () => {
  const table = unitsTable(NESTED);
  const names = (rows) => rows.map(({ name }) => name);
  const closed = new Set([unitId("/system.slice"), unitId("/lxc")]);
  assert.deepEqual(names(rowsOf(table, {}, closed)), ["/", "system.slice", "/lxc", "init.scope", null]);
  assert.equal(rowsOf(table, {}, closed)[1].branch, "closed");
  assert.deepEqual(names(rowsOf(table, { sort: "name", descending: false }, closed)), ["/", "/lxc", "init.scope", "system.slice", null]);
});

test("the past of a unit is that of all processes in it", () => {
  const [, slice] = rowsOf(unitsTable(NESTED));
  assert.deepEqual([...valuesOf(slice, 1, 1)], [70]);
});

test("units have the names and limits of their cgroups", () => {
  const path = `/docker/${"ab".repeat(32)}`;
  const cgroup = { path, name: "web", quota_cpus: 0.5, limit_cpus: 0.5, limited_by: path, quota_percent: 98, throttled_percent: 80, throttled_periods_percent: 90, pressure_percent: 7, cpus: 2, cpu_percent: 49 };
  const table = unitsTable({ 1: [path, 49, 80, 78] }, { cgroups: [cgroup] });
  const [, docker, web] = rowsOf(table);
  assert.deepEqual([docker.name, docker.quota_cpus, web.name, web.quota_cpus, web.quota_percent, web.throttled_periods_percent, web.pressure_percent], ["/docker", null, "web", 0.5, 98, 90, 7]);
  // How long its run queues were throttled is not what its processes waited for that.
  assert.equal(web.throttled_percent, 78);
  assert.equal(web.verdict, "throttled");
  assert.deepEqual([...table.rows.values()].map(({ unit }) => unit), ["web"]);
});

test("cgroups without processes are units, unless a filter asks for processes", () => {
  const cgroups = [{ path: "/a.slice", name: null, cpu_percent: 0, quota_cpus: 2 }, { path: "/b.slice", name: null, cpu_percent: 9 }];
  const table = unitsTable({ 1: ["/a.slice/x.service", null] }, { cgroups: [...cgroups, { path: "/a.slice/x.service/part", name: null, cpu_percent: 0 }] });
  const shown = rowsOf(table, { sort: "name", descending: false }).map(({ name, total_percent: percent, verdict, quota_cpus: quota }) => [name, percent, verdict, quota]);
  assert.deepEqual(shown, [["/", 0, "idle", null], ["a.slice", 0, "idle", 2], ["x.service", null, "idle", null], ["b.slice", 0, null, null]]);
  const empty = rowsOf(unitsTable({}, { cgroups }));
  assert.deepEqual(empty.map(({ name, verdict }) => [name, verdict]), [["/", null], ["a.slice", "idle"], ["b.slice", null]]);
  assert.deepEqual(rowsOf(table, { filter: "n", test: () => true }).map(({ name }) => name), ["/", "a.slice", "x.service"]);
});

test("paths outside of the cgroup namespace are not below its root", () => {
  const rows = rowsOf(unitsTable({ 1: ["/../../system.slice/a.service", 3], 2: ["/..", 2], 3: ["/", 1] }));
  assert.deepEqual(rows.map(({ name, depth, count }) => [name, depth, count]), [["system.slice", 0, 1], ["a.service", 1, 1], ["/..", 0, 1], ["/", 0, 1]]);
});

test("units with the same given name are told apart in the table of processes", () => {
  const [a, b] = ["ab", "cd"].map((digits) => `/docker/${digits.repeat(32)}`);
  const table = unitsTable({ 1: [a, 1], 2: [b, 1] }, { cgroups: [{ path: a, name: "web" }, { path: b, name: "web" }] });
  const unitsOf = () => [...table.rows.values()].map(({ unit }) => unit);
  assert.deepEqual(unitsOf(), ["docker abababababab", "docker cdcdcdcdcdcd"]);
  table.apply({ ...table.head, sequence: 2, cgroups: [{ path: a, name: "web" }, { path: b, name: "db" }], changed: [], gone: [] });
  assert.deepEqual(unitsOf(), ["web", "db"]);
});

test("a unit is found by its id with all its processes, whatever the filter", () => {
  const table = unitsTable(NESTED);
  assert.equal(unitWithId(table, unitId("/system.slice")).count, 3);
  assert.equal(unitWithId(table, unitId(null)).count, 1);
  for (const id of [unitId("/gone"), "k1", null]) assert.equal(unitWithId(table, id), null);
  const all = [...table.rows.values()];
  const slice = unitWithId(table, unitId("/system.slice"));
  assert.deepEqual(processesIn(slice).map(({ pid }) => pid), [5, 4, 3]);
  assert.deepEqual(all.filter(rowTest(parseFilter(`cgroup=${NGINX}`))).map(({ pid }) => pid), [3, 4]);
  assert.equal(all.filter(rowTest(parseFilter("cgroup=/"))).length, 6);
});

test("the tree of units is the library's, and so are those who crowd units and processes", () => {
  const same = ["wait_percent", "throttled_percent", "user_percent", "threads", "cpu_seconds", "verdict", ...UNIT_FIELDS];
  const trees = JSON.parse(readFileSync(process.env.UNIT_TREES, "utf8"));
  for (const { tick: { processes, ...head }, units, crowds } of trees) {
    const table = new ProcessTable();
    table.apply({ ...head, changed: processes, gone: [] });
    const above = [];
    const shown = rowsOf(table).map((row) => {
      above[row.depth] = row.unitPath;
      const figures = [row.count, row.total_percent ?? 0, row.exited_percent ?? 0, ...same.map((name) => row[name])];
      return [row.unitPath, row.depth === 0 ? null : above[row.depth - 1], ...figures];
    });
    const expected = units.map((unit) => [unit.cgroup, unit.parent, unit.processes, unit.cpu_percent, unit.exited_percent, ...same.map((name) => unit[name])]);
    const pidsOf = (row) => crowdOf(row, head.machine.busiest).map(({ pid }) => pid);
    const found = Object.fromEntries(rowsOf(table).map((row) => [row.unitPath, pidsOf(row)]));
    assert.deepEqual([found, [...table.rows.values()].map(pidsOf)], [crowds.units, crowds.processes]);
    const byPath = ([a], [b]) => (a === b ? 0 : a === null || (b !== null && a < b) ? -1 : 1);
    assert.deepEqual(shown.sort(byPath), expected.sort(byPath));
  }
  assert.ok(trees.some(({ units }) => units.length > 8));
  assert.ok(trees.some(({ crowds }) => Object.values(crowds.units).some(({ length }) => length > 0)));
});

test("verdicts are those of the library", () => {
  const cases = JSON.parse(process.env.VERDICTS);
  assert.ok(cases.length > 10);
  for (const { about, used, wait, throttled, machine, verdict } of cases) assert.equal(verdictOf(used, wait, throttled, stolenShare(machine)), verdict, about);
});

test("missing processes are reported as in the text table", () => {
  for (const [sampling, lines] of JSON.parse(process.env.MISSING_PROCESSES)) assert.deepEqual(missingProcesses(sampling), lines);
});

/** A shell that runs short-lived commands beside a process that uses more CPU itself. */
function shellLoop() {
  const table = new ProcessTable();
  const changed = [{ ...processOf("sh", 10, 2), exited_percent: 60, total_percent: 62 }, { ...processOf("busy", 11, 40), total_percent: 40 }];
  const ofShell = { name: "true", user: "u", parent_pid: 10, parent_name: "sh", count: 900, cpu_percent: 60 };
  const lost = { name: "lost", user: "u", parent_pid: 11, parent_name: "busy", count: 2, cpu_percent: 5, estimated: true };
  table.apply({ sequence: 1, machine: IDLE_MACHINE, changed, gone: [], exited: [ofShell, lost] });
  return table;
}

test("by default the process whose descendants used the most comes first", () => {
  const rows = new Arrangement().rows(shellLoop(), DEFAULTS, null, new Set());
  assert.deepEqual(rows.map(({ name, total_percent: percent }) => [name, percent]), [["sh", 62], ["true", 60], ["busy", 40], ["lost", 5]]);
});

test("exited processes name their parent", () => {
  const { exited } = shellLoop();
  assert.deepEqual([...exited.values()].map(({ parentName, ppid }) => [parentName, ppid]), [["sh", 10], ["busy", 11]]);
});

test("a branch contains exited processes once", () => {
  const table = shellLoop();
  const [sh, busy] = new Arrangement().rows(table, { ...DEFAULTS, view: "tree" }, null, new Set(["sh", "busy"]));
  assert.deepEqual([sh.cpu_percent, sh.exited_percent, sh.total_percent], [2, 60, 62]);
  assert.deepEqual([busy.cpu_percent, busy.exited_percent, busy.total_percent], [40, 5, 45]);
});

test("groups contain exited processes once, in the group of their own name and user", () => {
  const { rows, exited } = shellLoop();
  const all = [...rows.values(), ...exited.values()];
  const figures = (field) => grouped(all, field).map(({ name, total_percent: total, exited_percent: part }) => [name, total, part]);
  assert.deepEqual(figures("name"), [["sh", 2, null], ["busy", 40, null], ["true", 60, 60], ["lost", 5, 5]]);
  assert.deepEqual(figures("user"), [["u", 107, 65]]);
});

test("the rows of every view add up to the same", () => {
  const table = shellLoop();
  for (const view of ["", "tree", "name", "user", "unit"]) {
    assert.equal(total(new Arrangement().rows(table, { ...DEFAULTS, view }, null, new Set()), view), 107, view);
  }
});

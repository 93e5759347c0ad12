// The modules in view/ that need no document. Run by test_page_modules.py, which sets the environment.
import assert from "node:assert/strict";
import test from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE_MODULES}/${name}`));
const { windowOf, MAX_ROWS } = await load("view/virtual_list.js");
const { roundTop } = await load("view/chart.js");
const { statusOf } = await load("view/status_line.js");
const { columnOf, COLUMNS } = await load("view/columns.js");
const { sums } = await load("view/thread_section.js");
const { FIELDS } = await load("model/fields.js");
const { ProcessTable } = await load("model/process_table.js");

let seed = 1;
const random = (below) => (seed = (seed * 48271) % 2147483647) % below;

test("the window covers the viewport and never exceeds its limit", () => {
  for (let round = 0; round < 2000; round += 1) {
    const count = random(6000);
    const height = 20 + random(30);
    const view = random(1000);
    const scroll = random(Math.max(1, count * height));
    const { first, last, above, below } = windowOf(count, height, scroll, view);
    assert.ok(0 <= first && first <= last && last <= count && last - first <= MAX_ROWS);
    assert.equal(above + below + (last - first) * height, count * height);
    const bottom = Math.min(count, Math.ceil((scroll + view) / height));
    if (view < 45 * height && bottom > 0) assert.ok(first * height <= scroll && (last >= bottom || last === count));
  }
});

test("the top of a chart is round and at least the highest value", () => {
  assert.deepEqual([1, 10, 11, 87, 150, 400].map(roundTop), [1, 10, 20, 100, 200, 500]);
});

test("the sums of threads name what is unknown and what is not in the table", () => {
  const known = { cpu_percent: 150, ended_percent: 25, wait_percent: 0, thread_count: 2, threads: [{}, {}] };
  assert.equal(sums(known, 1), "All threads: 150.0 %, of which 25.0 % by threads that ended. Waiting: 0.0 %.");
  assert.match(sums(known, 0.5), /^All threads: 75.0 %, of which 12.5 %/);
  const partly = { ...known, ended_percent: null, wait_percent: null, thread_count: 5002 };
  assert.equal(sums(partly, 1), "All threads: 150.0 %, of which – % by threads that ended. Waiting: – %. 5000 more are not shown.");
});

test("the status tells whether the data is stale", () => {
  assert.equal(statusOf({ state: "live" }, 0.2, 1, null).kind, "live");
  assert.equal(statusOf({ state: "live" }, 9.7, 1, null).text, "Stale for 9 s: no data received");
  assert.match(statusOf({ state: "broken", why: "no connection" }, 3, 1, null).text, /^Stale for 3 s: no connection/);
});

test("estimates of exited processes are marked until they fade", () => {
  const table = new ProcessTable();
  const lost = { name: "job", user: "root", parent_pid: 1, parent_name: "init", count: 2, cpu_percent: 12.34, estimated: true };
  table.apply({ sequence: 1, exited: [lost, { ...lost, name: "other", estimated: false }], changed: [], gone: [] });
  const shown = (key) => [...table.exited.values()].map((row) => columnOf(key).text(row, 1));
  for (const key of ["total_percent", "exited_percent"]) assert.deepEqual(shown(key), ["~12.3", "12.3"]);
  assert.deepEqual(shown("cpu_percent"), ["–", "–"]);
  table.apply({ sequence: 2, exited: [], changed: [], gone: [] });
  assert.deepEqual(shown("total_percent"), ["–", "–"]);
});

test("columns take their titles and order from the library's fields", () => {
  for (const { name, title, description, descends } of FIELDS) {
    const column = columnOf(name);
    if (column) assert.deepEqual([column.label, column.title, column.descends], [title, description, descends]);
  }
  assert.deepEqual(COLUMNS.slice(0, 4).map(({ key }) => key), ["pid", "name", "total_percent", "cpu_percent"]);
  assert.ok(COLUMNS.every(({ label, title, priority }) => label && title && priority));
});

test("every column formats unknown and known values", () => {
  const table = new ProcessTable();
  const start = "2020-01-02T12:00:00Z";
  const known = { key: "k", pid: 7, name: "n", user: "u", state: "S", threads: 2, cpu_percent: 50, cpu_seconds: 61.5, start_time: start, cgroup: "/a.service" };
  table.apply({ sequence: 1, exited: [], changed: [known, { key: "unknown" }], gone: [] });
  const [first, second] = [...table.rows.values()].map((row) => Object.fromEntries(COLUMNS.flatMap(({ key, text }) => (text ? [[key, text(row, 0.5)]] : []))));
  const { pid, cpu_percent: cpu, cpu_seconds: seconds, start_time: started, unit, exited_percent: exited } = first;
  assert.deepEqual([pid, cpu, seconds, started, unit, exited], ["7", "25.0", "1:01.50", "2020-01-02", "a.service", "–"]);
  for (const [key, text] of Object.entries(second)) assert.ok(text === null || text === "–", key);
});

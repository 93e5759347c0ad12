// The modules in feed/. Run by test_page_modules.py, which sets the environment.
import assert from "node:assert/strict";
import test from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE_MODULES}/${name}`));
const { eventParser } = await load("feed/event_stream.js");
const { differences } = await load("feed/deltas.js");
const { Past } = await load("feed/past.js");
const { valuesOf } = await load("model/series.js");
const { ProcessTable } = await load("model/process_table.js");
const { Timeline } = await load("model/timeline.js");
const { percent } = await load("model/text.js");

let seed = 1;
const random = (below) => (seed = (seed * 48271) % 2147483647) % below;

function parsed(text, sizes) {
  const events = [];
  const feed = eventParser((event) => events.push(event));
  for (let at = 0; at < text.length; ) {
    const size = sizes();
    feed(text.slice(at, at + size));
    at += size;
  }
  return events;
}

const processOf = (key, pid, percent) => ({ key, pid, ppid: 1, name: key, user: "u", state: "S", threads: 1, cpu_percent: percent,
  user_percent: 0, system_percent: 0, exited_percent: 0, cpu_seconds: 1, start_time: "2026-01-01T00:00:00Z", first_seen: "2026-01-01T00:00:00Z" });

test("events are the same however the stream is split", () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const text = ["retry: 20", "", ": comment", "", "id: 7", "data: a", "data:  b:c", "", "id:8", "data", "", "data: cut off"].join(end);
    const whole = parsed(`${text}`, () => 1000);
    assert.deepEqual(whole, [{ id: "7", data: "a\n b:c" }, { id: "8", data: "" }]);
    for (let round = 0; round < 200; round += 1) assert.deepEqual(parsed(text, () => 1 + random(5)), whole);
  }
});

test("differences applied to the old rows give the new ones", () => {
  let known = new Map();
  const copy = new Map();
  for (let round = 0; round < 100; round += 1) {
    const processes = [];
    for (let pid = 1; pid < 20; pid += 1) if (random(4)) processes.push({ key: `k${pid}`, cpu_percent: random(3) });
    const { changed, gone, next } = differences(known, processes);
    for (const key of gone) copy.delete(key);
    for (const process of changed) copy.set(process.key, process);
    known = next;
    assert.deepEqual([...copy.values()].sort((a, b) => (a.key < b.key ? -1 : 1)), [...processes].sort((a, b) => (a.key < b.key ? -1 : 1)));
  }
});

test("unchanged rows are not sent", () => {
  const { next } = differences(new Map(), [{ key: "a", cpu_percent: 0 }]);
  assert.deepEqual(differences(next, [{ key: "a", cpu_percent: 0 }]).changed, []);
});

test("the past is added before newer ticks", () => {
  const table = new ProcessTable();
  table.apply({ sequence: 9, exited: [], changed: [processOf("a", 10, 5)], gone: [] });
  const past = new Past(new Set(["a"]));
  const kept = (sequence, processes) => ({ sequence, time: "", machine: { cpu_percent: 1 }, processes });
  past.add(kept(5, []));
  past.add(kept(7, [{ key: "a", cpu_percent: 2 }, { key: "dead", cpu_percent: 1 }]));
  const [{ first, ticks, pasts }, ...more] = past.chunks(10);
  assert.deepEqual([first, ticks.map(({ sequence }) => sequence), pasts, more], [5, [5, 7], [["a", Float32Array.of(0, 0, 2)]], []]);
  table.fillPast(first, [...pasts, ["dead", Float32Array.of(1)]]);
  assert.deepEqual([...valuesOf(table.rows.get("a"), 9, 4)], [0, 2, 0, 5]);
  const timeline = new Timeline(3);
  const tick = (sequence) => ({ sequence, time: new Date(sequence * 1000).toISOString(), machine: { cpu_percent: 1 } });
  timeline.add(tick(5));
  timeline.prepend([tick(3), tick(4), tick(5)]);
  timeline.add(tick(6));
  assert.deepEqual(timeline.ticks.map(({ sequence }) => sequence), [4, 5, 6]);
  assert.equal(timeline.nearest(5400).sequence, 5);
  assert.equal(timeline.nearest(99_000), null);
});

// The modules of the recorded past. Run by test_page_modules.py, which sets the environment.
import assert from "node:assert/strict";
import test from "node:test";
import { pathToFileURL } from "node:url";

process.env.TZ = "Europe/Berlin";
const load = (name) => import(pathToFileURL(`${process.env.PAGE_MODULES}/${name}`));
const { around, between, MIN_SPAN, panned, within, zoomed } = await load("model/time_window.js");
const { axisTicks, moment, range, zoneAt } = await load("model/time_text.js");
const { outline, pointAt, pointsOfTicks, runsOf } = await load("model/past_points.js");
const { History, windowOf, zoomOf } = await load("model/history.js");
const { ranking } = await load("model/ranking.js");
const { DEFAULTS, fromFragment, toFragment } = await load("model/url_state.js");
const { Timeline } = await load("model/timeline.js");
const { Newest } = await load("feed/newest.js");

let seed = 1;
const random = (below) => (seed = (seed * 48271) % 2147483647) % below;

const LIMITS = { from: 1_000_000, to: 9_000_000 };

test("a window stays within the limits, whatever is done to it", () => {
  let window = LIMITS;
  for (let round = 0; round < 2000; round += 1) {
    const at = window.from + random(window.to - window.from + 1);
    window = [
      () => zoomed(window, 0.1 + random(30) / 10, at, LIMITS),
      () => panned(window, random(4_000_000) - 2_000_000, LIMITS),
      () => around(window, LIMITS.from + random(8_000_001), LIMITS),
    ][random(3)]();
    assert.ok(window.from >= LIMITS.from && window.to <= LIMITS.to + 1e-6, JSON.stringify(window));
    assert.ok(window.to - window.from >= MIN_SPAN - 1e-6);
  }
});

test("zooming keeps the time under the pointer in its place", () => {
  const window = zoomed(LIMITS, 0.5, 3_000_000, LIMITS);
  assert.deepEqual(window, { from: 2_000_000, to: 6_000_000 });
  assert.deepEqual(zoomed(window, 2, 3_000_000, LIMITS), LIMITS);
});

test("limits shorter than the shortest window are shown whole", () => {
  const limits = { from: 0, to: 5000 };
  assert.deepEqual(within({ from: 1000, to: 2000 }, limits), limits);
});

test("a range may be drawn in either direction", () => {
  assert.deepEqual(between(5, 3), { from: 3, to: 5 });
});

test("a zoom that ends with the newest tick follows it; another one stays", () => {
  assert.equal(zoomOf(LIMITS, LIMITS), null);
  const last = zoomOf({ from: 8_400_000, to: 9_000_000 }, LIMITS);
  assert.deepEqual(last, { seconds: 600 });
  assert.deepEqual(windowOf(last, { ...LIMITS, to: 9_010_000 }), { from: 8_410_000, to: 9_010_000 });
  const early = zoomOf({ from: 2_000_000, to: 3_000_000 }, LIMITS);
  assert.deepEqual(windowOf(early, { ...LIMITS, to: 9_010_000 }), { from: 2_000_000, to: 3_000_000 });
});

test("moments and ranges are in local time, with its offset", () => {
  const summer = Date.parse("2026-07-01T22:05:09Z");
  const winter = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(zoneAt(summer), "UTC+2");
  assert.equal(moment(winter), "Thu 1 Jan 2026, 01:00:00 UTC+1");
  assert.equal(range({ from: winter, to: winter + 600_000 }), "1 Jan 01:00 – 01:10 UTC+1");
  assert.equal(range({ from: winter, to: winter + 600_001 + 86_400_000 }, " and "), "1 Jan 01:00 and 2 Jan 01:10 UTC+1");
  assert.equal(range({ from: winter, to: winter + 5000 }), "1 Jan 01:00:00 – 01:00:05 UTC+1");
  assert.equal(range({ from: winter, to: summer }), "1 Jan 01:00:00 UTC+1 – 2 Jul 00:05:09 UTC+2");
});

test("the ticks of the axis are round local times, also on the day the clocks change", () => {
  const from = Date.parse("2026-03-27T12:00:00Z");
  const days = axisTicks({ from, to: from + 4 * 86_400_000 }, 6);
  assert.deepEqual(days.map(({ text }) => text), ["28 Mar", "29 Mar", "30 Mar", "31 Mar"]);
  assert.ok(days.every(({ time }) => new Date(time).getHours() === 0));
  const minutes = axisTicks({ from: from + 61_000, to: from + 600_000 }, 5);
  assert.deepEqual(minutes.map(({ text }) => text), ["13:02", "13:04", "13:06", "13:08", "13:10"]);
  for (let span = 30_000; span < 1e12; span *= 3) {
    const ticks = axisTicks({ from, to: from + span }, 6);
    assert.ok(ticks.length <= 7, `${span}`);
    assert.ok(ticks.every(({ time }) => time >= from && time <= from + span));
  }
});

const point = (begin, end, busy = 50) => ({ begin, end, busy, exited: 10, peak: 60 });

test("gaps separate the runs of points, jitter does not", () => {
  const points = [point(0, 1000), point(1020, 2000), point(60_000, 61_000)];
  assert.deepEqual(runsOf(points).map((run) => run.length), [2, 1]);
  assert.equal(pointAt(points, 30_000), null);
  assert.equal(pointAt(points, 60_500), points[2]);
  const { line, area } = outline(points, "busy", (time) => time / 1000);
  assert.equal(line.match(/M/g).length, 2);
  assert.equal(area, "M0.0,100L0.0,50.0L1.0,50.0L2.0,50.0V100ZM60.0,100L60.0,50.0L61.0,50.0V100Z");
});

test("ticks in memory become points; a missing tick is no gap, many are", () => {
  const tick = (sequence) => ({ sequence, milliseconds: sequence * 1000, busy: 1, exited: null });
  const points = pointsOfTicks([tick(1), tick(2), tick(4), tick(9)]);
  assert.deepEqual(points.map(({ begin, end }) => [begin, end]), [[1000, 1000], [1000, 2000], [2000, 4000], [9000, 9000]]);
  assert.deepEqual(pointsOfTicks([tick(1), tick(2), tick(4)], 2000).map(({ end }) => end), [4000]);
});

const answer = (from, to, width) => ({
  start: new Date(from).toISOString(),
  end: new Date(to).toISOString(),
  points: Array.from({ length: Math.round((to - from) / width) }, (_, index) => ({
    begin: new Date(from + index * width).toISOString(), end: new Date(from + (index + 1) * width).toISOString(),
    busy_percent: 5, exited_percent: 1, peak_percent: 9,
  })),
});

test("the history asks for what a window lacks, and not again for what it has", () => {
  const history = new History();
  const timeline = new Timeline();
  assert.equal(history.limits(timeline), null);
  const day = 86_400_000;
  history.take(answer(0, 3 * day, 600_000), true);
  const limits = history.limits(timeline);
  assert.deepEqual(limits, { from: 1, to: 3 * day }, "it begins within the millisecond after its start");
  assert.equal(history.missing(limits, limits, 400), null);
  const hour = { from: day, to: day + 3_600_000 };
  const request = history.missing(hour, limits, 400);
  assert.ok(request.from < hour.from && request.to > hour.to && request.points > 400);
  history.take(answer(request.from, request.to, 60_000), false);
  assert.equal(history.missing(hour, limits, 400), null);
  assert.equal(history.missing(panned(hour, 600_000, limits), limits, 400), null, "there is a margin");
  assert.notEqual(history.missing(panned(hour, 3_600_000, limits), limits, 400), null);
  assert.notEqual(history.missing(limits, limits, 400), null);
  const minute = { from: day, to: day + 60_000 };
  const fine = history.missing(minute, limits, 400);
  assert.ok(fine.to - fine.from <= 900_000, "with more, the server has no points of single ticks");
  const points = history.points(timeline);
  assert.ok(points.every(({ begin }, index) => index === 0 || begin >= points[index - 1].end), "no point covers another");
});

test("ticks in memory continue the recording", () => {
  const history = new History();
  const timeline = new Timeline();
  history.take(answer(0, 600_000, 60_000), true);
  for (let at = 595; at < 605; at += 1) timeline.add({ sequence: at, time: new Date(at * 1000).toISOString(), machine: { cpu_percent: 1 } });
  assert.equal(history.limits(timeline).to, 604_000);
  assert.deepEqual(history.points(timeline).slice(-5).map(({ end }) => end), [600_000, 601_000, 602_000, 603_000, 604_000]);
});

test("a ranking has the largest first, with exited processes among the others", () => {
  const process = (name, total) => ({ name, pid: 1, total_seconds: total, mean_percent: 1, peak_percent: 2 });
  const { rows, rest } = ranking({
    processes: [process("a", 9), process("b", 1), process("idle", 0)],
    exited: [{ name: "cc\n1", parent_name: "make", cpu_seconds: 5 }],
    rest: { cpu_seconds: 2, exited_seconds: 1 },
  });
  assert.deepEqual(rows.map(({ label, note }) => [label, note]), [["a", "1"], ["cc\\n1", "from make"], ["b", "1"]]);
  assert.equal(rest, 3);
  const groups = ranking({ groups: [{ group: null, cpu_seconds: 1, mean_percent: 1, peak_percent: 1 }], rest: { cpu_seconds: 2, exited_seconds: 1 } });
  assert.deepEqual([groups.rows[0].label, groups.rest], ["(unknown)", 2]);
});

test("the address holds window, range and grouping", () => {
  for (const zoom of [null, { seconds: 600 }, { from: 1_700_000_000_000, to: 1_700_000_100_000 }]) {
    const state = { ...DEFAULTS, zoom, range: { from: 1_700_000_000_000, to: 1_700_000_000_500 }, by: "unit" };
    assert.deepEqual(fromFragment(toFragment(state), () => true), state);
  }
  for (const wrong of ["zoom=0", "zoom=-5", "zoom=x/y", "range=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "range=2026-01-01", "by=__proto__"]) {
    assert.deepEqual(fromFragment(`#${wrong}`, () => true), DEFAULTS, wrong);
  }
});

test("while a request is under way, only the newest one waits", async () => {
  const run = [];
  const ends = [];
  const newest = new Newest((task) => {
    run.push(task);
    return new Promise((done) => ends.push(done));
  });
  for (const task of ["a", "b", "c", "d"]) newest.ask(task);
  assert.deepEqual(run, ["a"]);
  ends.shift()();
  await new Promise(setImmediate);
  assert.deepEqual(run, ["a", "d"]);
  ends.shift()();
  await new Promise(setImmediate);
  newest.ask("e");
  assert.deepEqual(run, ["a", "d", "e"]);
});

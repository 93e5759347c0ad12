// The modules in view/ that need no document. Run by test_page_modules.py, which sets the environment.
import assert from "node:assert/strict";
import test from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE_MODULES}/${name}`));
const { windowOf, MAX_ROWS } = await load("view/virtual_list.js");
const { roundTop } = await load("view/chart.js");
const { statusOf } = await load("view/status_line.js");

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

test("the status tells whether the data is stale", () => {
  assert.equal(statusOf({ state: "live" }, 0.2, 1, null).kind, "live");
  assert.equal(statusOf({ state: "live" }, 9.7, 1, null).text, "Stale for 9 s: no data received");
  assert.match(statusOf({ state: "broken", why: "no connection" }, 3, 1, null).text, /^Stale for 3 s: no connection/);
});

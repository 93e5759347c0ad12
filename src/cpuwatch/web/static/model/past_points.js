/** The points of the chart of the past: those of the recording, then the ticks since. Pure. */

// Less than this between two points is jitter of the ticks.
const MIN_GAP_MS = 2500;

/** A point for each tick in memory that is later than `after`. */
export function pointsOfTicks(ticks, after = -Infinity) {
  const points = [];
  let before = null;
  for (const { sequence, milliseconds, busy, exited } of ticks) {
    const isNext = before !== null && sequence - before.sequence <= 2;
    if (milliseconds > after && busy !== null) {
      points.push({ begin: isNext ? before.milliseconds : milliseconds, end: milliseconds, busy, exited, peak: busy });
    }
    before = { sequence, milliseconds };
  }
  return points;
}

/** Recorded points and the ticks since. */
export function joined(recorded, ticks) {
  return [...recorded, ...pointsOfTicks(ticks, recorded.at(-1)?.end)];
}

/** The points, in runs without a gap. */
export function runsOf(points) {
  const runs = [];
  let end = -Infinity;
  for (const point of points) {
    if (point.begin - end >= MIN_GAP_MS) runs.push([]);
    runs.at(-1).push(point);
    end = point.end;
  }
  return runs;
}

/** The point that covers a time, or null in a gap. */
export function pointAt(points, time) {
  return points.find(({ begin, end }) => begin - MIN_GAP_MS < time && time <= end + MIN_GAP_MS) ?? null;
}

/**
 * The outline of a field of the points as a path, once filled to the bottom and once as a line. `x(time)` is the
 * horizontal place; the vertical one is 100 minus the value.
 */
export function outline(points, field, x) {
  let line = "";
  let area = "";
  for (const run of runsOf(points)) {
    const left = x(run[0].begin).toFixed(1);
    let path = "";
    for (const point of run) {
      const y = (100 - Math.min(100, point[field] ?? 0)).toFixed(1);
      // A point is drawn at its end, and the first one also at its begin.
      path += path ? `L${x(point.end).toFixed(1)},${y}` : `${left},${y}L${x(point.end).toFixed(1)},${y}`;
    }
    line += `M${path}`;
    area += `M${left},100L${path}V100Z`;
  }
  return { line, area };
}

/** Makes the path of a sparkline. Pure. */

export const SPARK_TICKS = 120;
export const SPARK_HEIGHT = 20;

/** Scaled to the highest value, but at least to `minTop`, so that the noise of an idle process looks flat. */
export function sparkPath(values, minTop = 20) {
  let highest = minTop;
  for (const value of values) if (value > highest) highest = value;
  let path = "";
  let letter = "M";
  let level = null;
  let since = 0;
  for (let x = 0; x < values.length; x += 1) {
    if (Number.isNaN(values[x])) continue;
    const y = SPARK_HEIGHT - 1 - Math.round((values[x] / highest) * (SPARK_HEIGHT - 2));
    // A level stretch needs only its two ends, and most processes are idle most of the time.
    if (y === level) continue;
    if (level !== null && since < x - 1) path += `H${x - 1}`;
    path += `${letter}${x},${y}`;
    letter = "L";
    level = y;
    since = x;
  }
  return level === null || since === values.length - 1 ? path : `${path}H${values.length - 1}`;
}

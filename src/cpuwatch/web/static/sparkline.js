/** The path of a sparkline. Pure. */

export const SPARK_TICKS = 120;
export const SPARK_HEIGHT = 20;

/** The top is the highest value, but no less than `least`: the noise of an idle process is no mountain range. */
export function sparkPath(values, least = 20) {
  let highest = least;
  for (const value of values) if (value > highest) highest = value;
  let path = "";
  let letter = "M";
  for (let x = 0; x < values.length; x += 1) {
    if (Number.isNaN(values[x])) continue;
    const y = SPARK_HEIGHT - 1 - Math.round((values[x] / highest) * (SPARK_HEIGHT - 2));
    path += `${letter}${x},${y}`;
    letter = "L";
  }
  return path;
}

/**
 * Why a unit is slow although it uses little CPU, by the same rules as the library's accounting/verdict.py. Pure.
 * Both are tested against tests/verdicts.json.
 */

import { UNKNOWN } from "./text.js";

const IDLE_PERCENT = 1;
const MIN_DENIED_SHARE = 0.1;
const MIN_WAIT_PERCENT = 5;
const MIN_STEAL_PERCENT = 2;

/** So short that none needs a second line in a panel: a verdict may change each second, and must not move what is below. */
const MEANINGS = {
  idle: "idle",
  busy: "busy: nothing holds it up",
  throttled: "throttled: by a quota",
  crowded: "crowded: others run",
  stolen: "stolen: by the hypervisor",
};

/** What the verdict of a row means. */
export function verdictText({ verdict }) {
  return MEANINGS[verdict] ?? UNKNOWN;
}

/** One of "idle", "busy", "throttled", "crowded" and "stolen"; null if an amount that matters is unknown. */
export function verdictOf(usedPercent, waitPercent, throttledPercent, stolen) {
  if (usedPercent === null || waitPercent === null) return null;
  const wanted = usedPercent + waitPercent;
  if (wanted < IDLE_PERCENT) return "idle";
  const denied = waitPercent >= MIN_WAIT_PERCENT ? waitPercent / wanted : 0;
  if (denied + stolen < MIN_DENIED_SHARE) return "busy";
  if (stolen > denied) return "stolen";
  if (throttledPercent === null) return null;
  const throttled = throttledPercent / wanted;
  const crowded = denied - throttled;
  if (stolen > Math.max(crowded, throttled)) return "stolen";
  return throttled > crowded ? "throttled" : "crowded";
}

/** The share of the CPU time wanted on the machine that the hypervisor gave to others, 0..1. */
export function stolenShare({ steal_percent: steal, cpu_percent: busy }) {
  return steal === null || !busy || steal < MIN_STEAL_PERCENT ? 0 : steal / busy;
}

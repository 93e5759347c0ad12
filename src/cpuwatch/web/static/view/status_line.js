/** Whether the data is fresh, in words. Pure. */

const STALE_INTERVALS = 3;

/** `{kind, text}` for the state of the feed and the age of the newest data. */
export function statusOf({ state, why }, ageSeconds, intervalSeconds, pausedAt) {
  if (state === "refused") return { kind: "stale", text: "needs a token" };
  const age = `${Math.max(0, Math.floor(ageSeconds))} s`;
  if (state === "broken") {
    const since = Number.isFinite(ageSeconds) ? `Stale since ${age}` : "No data yet";
    return { kind: "stale", text: `${since}: ${why}; connecting again` };
  }
  if (!Number.isFinite(ageSeconds)) return { kind: "waiting", text: "Connecting" };
  if (ageSeconds > Math.max(2, STALE_INTERVALS * intervalSeconds)) return { kind: "stale", text: `Stale since ${age}: nothing comes` };
  if (pausedAt) return { kind: "paused", text: `Paused at ${pausedAt}` };
  return { kind: "live", text: `Live, every ${Number(intervalSeconds.toFixed(1))} s` };
}

/** Whether the data is fresh, as text. */

import { clock, percent, UNKNOWN, visible } from "../model/text.js";
import { moment } from "../model/time_text.js";
import { byId, setAttribute, setText } from "./dom.js";

const STALE_INTERVALS = 3;
const MIN_STALE_SECONDS = 2;

/** `{kind, text}` for the state of the feed and the age of the newest data. */
export function statusOf({ state, why }, ageSeconds, intervalSeconds, pausedAt, playback = null) {
  if (state === "refused") return { kind: "stale", text: "Token required" };
  if (playback) return { kind: state === "broken" ? "stale" : "playback", text: playbackText(playback, state === "broken" ? why : null) };
  const age = `${Math.max(0, Math.floor(ageSeconds))} s`;
  if (state === "broken") {
    const problem = Number.isFinite(ageSeconds) ? `Stale for ${age}` : "No data yet";
    return { kind: "stale", text: `${problem}: ${why}; reconnecting` };
  }
  if (!Number.isFinite(ageSeconds)) return { kind: "waiting", text: "Connecting" };
  if (ageSeconds > Math.max(MIN_STALE_SECONDS, STALE_INTERVALS * intervalSeconds)) return { kind: "stale", text: `Stale for ${age}: no data received` };
  if (pausedAt) return { kind: "paused", text: `Paused at ${pausedAt}` };
  return { kind: "live", text: `Live, every ${Number(intervalSeconds.toFixed(1))} s` };
}

/** `host` and, once it is known, the range of the recording. */
function playbackText({ host, from, to }, why) {
  const limits = from === undefined ? "" : `, from ${moment(from)} to ${moment(to)}`;
  return `Recording of ${visible(host)}${limits}${why ? `: ${why}; reconnecting` : ""}`;
}

/** `head` is that of the newest snapshot, or null; `pausedAt` the moment shown in milliseconds, or null; `playback` is null unless a recording is shown in place of this machine. */
export function showStatus(link, head, ageSeconds, pausedAt, playback) {
  const { kind, text } = statusOf(link, ageSeconds, head?.interval_seconds ?? 1, pausedAt === null ? null : clock(pausedAt), playback);
  setAttribute(byId("status"), "class", `status ${kind}`);
  setText(byId("status"), text);
  if (!head) return;
  setText(byId("age"), playback ? UNKNOWN : `${Math.max(0, ageSeconds).toFixed(1)} s`);
  const title = `${percent(head.machine.cpu_percent)} % · ${head.host.name} · cpuwatch`;
  if (document.title !== title) document.title = title;
}

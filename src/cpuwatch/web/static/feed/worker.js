/**
 * The connection of all tabs to the server, off their threads: reads the stream and sends each tab what changed.
 *
 * Runs as a SharedWorker, or as one worker per tab in browsers without it.
 */

import { differences } from "./deltas.js";
import { eventId, readEvents } from "./event_stream.js";
import { fetchJson } from "./fetch_json.js";
import { Newest } from "./newest.js";
import { Past } from "./past.js";

// More would take seconds to read; with a recording, the chart does not need them.
const PAST_TICKS = 600;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 8000;
// A tab handles one chunk per task, within a few milliseconds, however many processes there are.
const CHUNK_ROWS = 400;
// Anything below is invisible in a sparkline.
const PAST_FIELDS = "fields=key,cpu_percent&min_percent=0.2";

const ROOT = new URL("../../", import.meta.url);
const STREAM = new URL("cpu_usage/stream", ROOT);

/** The stream as one token may read it, and the tabs that listen to it. */
class Feed {
  constructor(token) {
    this.token = token;
    this.ports = new Set();
    this.known = new Map();
    this.last = null;
    this.state = { state: "connecting" };
    this.reading = null;
  }

  add(port) {
    this.ports.add(port);
    port.postMessage({ type: "state", ...this.state });
    if (this.reading === null) this.start();
    else if (this.last) this.introduce(port);
  }

  remove(port) {
    this.ports.delete(port);
    if (this.ports.size > 0 || this.reading === null) return;
    // No tab is visible: neither the server nor this browser needs to work.
    this.reading.abort();
    this.reading = null;
    this.last = null;
    this.known = new Map();
  }

  async start() {
    const reading = new AbortController();
    this.reading = reading;
    let wait = FIRST_RETRY_MS;
    while (!reading.signal.aborted) {
      try {
        await readEvents(STREAM, {
          token: this.token,
          lastId: this.last ? eventId(this.last.sampling, this.last.sequence) : undefined,
          signal: reading.signal,
          onEvent: (event) => {
            wait = FIRST_RETRY_MS;
            this.receive(JSON.parse(event.data));
          },
        });
        this.setState({ state: "broken", why: "the server closed the stream" });
      } catch (error) {
        if (reading.signal.aborted) return;
        if (error.status === 401) {
          this.reading = null;
          this.setState({ state: "refused" });
          return;
        }
        this.setState({ state: "broken", why: error.status ? `HTTP ${error.status}` : "no connection" });
      }
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(2 * wait, MAX_RETRY_MS);
    }
  }

  receive(snapshot) {
    // A restarted server counts from the beginning, in another run.
    const restarted = this.last?.sampling.run !== snapshot.sampling.run || snapshot.sequence <= this.last.sequence;
    const { changed, gone, next } = differences(restarted ? new Map() : this.known, snapshot.processes);
    this.known = next;
    this.last = snapshot;
    if (this.state.state !== "live") this.setState({ state: "live" });
    if (restarted) {
      for (const port of this.ports) this.introduce(port);
    } else {
      for (const port of this.ports) sendSnapshot(port, { type: "tick", ...head(snapshot), gone }, changed);
    }
  }

  introduce(port) {
    sendSnapshot(port, { type: "begin", ...head(this.last), gone: [] }, this.last.processes);
    this.sendPast(port, this.last.sampling, this.last.sequence);
  }

  async sendPast(port, sampling, newest) {
    const oldest = Math.max(0, newest - PAST_TICKS);
    const past = new Past(new Set(this.known.keys()));
    try {
      await readEvents(`${STREAM}?${PAST_FIELDS}`, {
        token: this.token,
        lastId: eventId(sampling, oldest),
        signal: this.reading.signal,
        onEvent: (event) => {
          const snapshot = JSON.parse(event.data);
          if (snapshot.sampling.run !== sampling.run || snapshot.sequence > newest) return true;
          past.add(snapshot);
          return snapshot.sequence === newest;
        },
      });
    } catch {
      // The tab goes without: its past grows with each tick.
    }
    const chunks = past.chunks(CHUNK_ROWS);
    chunks.forEach((chunk, index) => port.postMessage({ type: "past", ...chunk, last: index === chunks.length - 1 }));
  }

  setState(state) {
    this.state = state;
    for (const port of this.ports) port.postMessage({ type: "state", ...state });
  }
}

/** What becomes of the answer to a request of each kind. */
const ANSWERS = {
  moment: (port, path, snapshot) => sendSnapshot(port, { type: "moment", path, ...head(snapshot), gone: [] }, snapshot.processes),
  moment_past(port, path, { snapshots }) {
    const run = snapshots.at(-1)?.sampling.run;
    const ticks = snapshots.filter(({ sampling }) => sampling.run === run);
    const past = new Past(new Set(ticks.flatMap(({ processes }) => processes.map(({ key }) => key))));
    for (const snapshot of ticks) past.add(snapshot);
    for (const chunk of past.chunks(CHUNK_ROWS)) port.postMessage({ type: "moment_past", path, ...chunk });
  },
  timeline: (port, path, timeline) => port.postMessage({ type: "timeline", path, timeline }),
  threads: (port, path, threads) => port.postMessage({ type: "threads", path, threads }),
  summary: (port, path, summary) => port.postMessage({ type: "summary", path, summary }),
};

/** Sends a message with its rows. Rows beyond the first chunk follow at once, in messages of type "more". */
function sendSnapshot(port, message, processes) {
  const chunks = Math.max(1, Math.ceil(processes.length / CHUNK_ROWS));
  for (let index = 0; index < chunks; index += 1) {
    const changed = processes.slice(index * CHUNK_ROWS, (index + 1) * CHUNK_ROWS);
    port.postMessage({ ...(index === 0 ? message : { type: "more" }), changed, last: index === chunks - 1 });
  }
}

function head(snapshot) {
  const { processes: _, ...rest } = snapshot;
  return rest;
}

const feeds = new Map();

function serve(port) {
  let feed = null;
  const requests = {};
  for (const [kind, answer] of Object.entries(ANSWERS)) {
    requests[kind] = new Newest(async (path) => {
      try {
        answer(port, path, await fetchJson(new URL(path, ROOT), feed?.token));
      } catch (error) {
        port.postMessage({ type: "failed", kind, path, why: error.detail ?? error.message });
      }
    });
  }
  const handlers = {
    listen({ token }) {
      feed?.remove(port);
      if (!feeds.has(token)) feeds.set(token, new Feed(token));
      feed = feeds.get(token);
      feed.add(port);
    },
    sleep() {
      feed?.remove(port);
    },
    request({ kind, path }) {
      requests[kind].ask(path);
    },
  };
  port.onmessage = ({ data }) => handlers[data.type]?.(data);
}

if ("SharedWorkerGlobalScope" in globalThis) globalThis.onconnect = ({ ports: [port] }) => serve(port);
else serve(globalThis);

/**
 * The one connection of all tabs, off their threads: reads the stream, and tells each tab what changed.
 *
 * It runs as a SharedWorker, or as a worker of one tab where there is no SharedWorker.
 */

import { differences } from "./deltas.js";
import { eventId, readEvents } from "./event_stream.js";
import { Past } from "./past.js";

// As many as a server keeps unless it is told otherwise.
const PAST_TICKS = 600;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 8000;
// A task of a tab's thread takes one piece, however many processes there are: it is to be done within a few milliseconds.
const PIECE_ROWS = 400;
// Less than this is no line in a sparkline.
const PAST_FIELDS = "fields=key,cpu_percent&min_percent=0.2";

const STREAM = new URL("../../cpu_usage/stream", import.meta.url);

/** The stream as one token may read it, and the tabs that listen. */
class Feed {
  constructor(token) {
    this.token = token;
    this.ports = new Set();
    this.known = new Map();
    this.last = null;
    this.state = { state: "connecting" };
    this.reading = null;
  }

  async add(port) {
    this.ports.add(port);
    port.postMessage({ type: "state", ...this.state });
    if (this.reading === null) this.begin();
    else if (this.last) this.introduce(port);
  }

  remove(port) {
    this.ports.delete(port);
    if (this.ports.size > 0 || this.reading === null) return;
    // Nobody looks: neither the server nor this browser has to do anything.
    this.reading.abort();
    this.reading = null;
    this.last = null;
    this.known = new Map();
  }

  async begin() {
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
            this.take(JSON.parse(event.data));
          },
        });
        this.say({ state: "broken", why: "the server ended the stream" });
      } catch (error) {
        if (reading.signal.aborted) return;
        if (error.status === 401) {
          this.reading = null;
          this.say({ state: "refused" });
          return;
        }
        this.say({ state: "broken", why: error.status ? `HTTP ${error.status}` : "no connection" });
      }
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(2 * wait, LONGEST_RETRY_MS);
    }
  }

  take(snapshot) {
    // A server that was started again counts from the beginning, in another run.
    const anew = this.last?.sampling.run !== snapshot.sampling.run || snapshot.sequence <= this.last.sequence;
    const { changed, gone, next } = differences(anew ? new Map() : this.known, snapshot.processes);
    this.known = next;
    this.last = snapshot;
    if (this.state.state !== "live") this.say({ state: "live" });
    if (anew) {
      for (const port of this.ports) this.introduce(port);
    } else {
      for (const port of this.ports) tellSnapshot(port, { type: "tick", ...head(snapshot), gone }, changed);
    }
  }

  introduce(port) {
    tellSnapshot(port, { type: "begin", ...head(this.last), gone: [] }, this.last.processes);
    this.tellPast(port, this.last.sampling, this.last.sequence);
  }

  async tellPast(port, sampling, newest) {
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
      // The past fills up as time goes by.
    }
    const pieces = past.pieces(PIECE_ROWS);
    pieces.forEach((piece, index) => port.postMessage({ type: "past", ...piece, last: index === pieces.length - 1 }));
  }

  /** The whole snapshot with this sequence, or the next one that the server still has. */
  async tellMoment(port, sequence) {
    let found = null;
    const sampling = this.last?.sampling;
    try {
      await readEvents(STREAM, {
        token: this.token,
        lastId: eventId(sampling, sequence - 1),
        signal: AbortSignal.timeout(10_000),
        onEvent: (event) => {
          const snapshot = JSON.parse(event.data);
          if (snapshot.sampling.run === sampling.run) found = snapshot;
          return true;
        },
      });
    } catch {
      // Told as null.
    }
    if (found === null) port.postMessage({ type: "no_moment", wanted: sequence });
    else tellSnapshot(port, { type: "moment", wanted: sequence, ...head(found), gone: [] }, found.processes);
  }

  say(state) {
    this.state = state;
    this.tell({ type: "state", ...state });
  }

  tell(message) {
    for (const port of this.ports) port.postMessage(message);
  }
}

/** A message with its rows; those for which there is no room in it follow in others, with nothing between them. */
function tellSnapshot(port, message, processes) {
  const pieces = Math.max(1, Math.ceil(processes.length / PIECE_ROWS));
  for (let index = 0; index < pieces; index += 1) {
    const changed = processes.slice(index * PIECE_ROWS, (index + 1) * PIECE_ROWS);
    port.postMessage({ ...(index === 0 ? message : { type: "more" }), changed, last: index === pieces - 1 });
  }
}

function head(snapshot) {
  const { processes: _, ...rest } = snapshot;
  return rest;
}

const feeds = new Map();

function serve(port) {
  let feed = null;
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
    moment({ sequence }) {
      feed?.tellMoment(port, sequence);
    },
  };
  port.onmessage = ({ data }) => handlers[data.type]?.(data);
}

if ("SharedWorkerGlobalScope" in globalThis) globalThis.onconnect = ({ ports: [port] }) => serve(port);
else serve(globalThis);

/**
 * Server-Sent Events over fetch(): EventSource cannot send the header that carries the token
 * (html.spec.whatwg.org, 9.2.6).
 */

/** A parser that is fed text as it comes and calls `onEvent({id, data})` for each event that is complete. */
export function eventParser(onEvent) {
  let rest = "";
  let id = "";
  let data = [];
  const take = (line) => {
    if (line === "") {
      if (data.length > 0) onEvent({ id, data: data.join("\n") });
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "id") id = value;
  };
  return (text) => {
    rest += text;
    // A CR at the very end may be the first half of a CRLF.
    const end = /\r\n|\n|\r(?=[^])/g;
    let from = 0;
    for (let match = end.exec(rest); match; match = end.exec(rest)) {
      take(rest.slice(from, match.index));
      from = end.lastIndex;
    }
    rest = rest.slice(from);
  };
}

/** An answer that is no stream; `status` says why. */
export class RefusedError extends Error {
  constructor(status) {
    super(`the server answered ${status}`);
    this.status = status;
  }
}

/** The id of the event of a tick: its run, and the sequence in that, in ten digits. */
export function eventId({ run }, sequence) {
  return run + String(sequence).padStart(10, "0");
}

/** Read the stream at `url` until it ends, or `onEvent` returns true, or `signal` stops it. */
export async function readEvents(url, { token, lastId, signal, onEvent }) {
  const headers = { accept: "text/event-stream" };
  if (token) headers.authorization = `Bearer ${token}`;
  if (lastId !== undefined) headers["last-event-id"] = lastId;
  const response = await fetch(url, { headers, signal, cache: "no-store" });
  if (!response.ok) {
    await response.body?.cancel();
    throw new RefusedError(response.status);
  }
  let enough = false;
  const feed = eventParser((event) => {
    enough = enough || onEvent(event) === true;
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    feed(value);
    if (enough) {
      await reader.cancel();
      return;
    }
  }
}

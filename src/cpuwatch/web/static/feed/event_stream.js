/**
 * Server-Sent Events over fetch(): EventSource cannot send the Authorization header
 * (html.spec.whatwg.org, 9.2.6).
 */

/** Returns a function that takes the text as it arrives and calls `onEvent({id, data})` for each complete event. */
export function eventParser(onEvent) {
  let rest = "";
  let id = "";
  let data = [];
  const parseLine = (line) => {
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
      parseLine(rest.slice(from, match.index));
      from = end.lastIndex;
    }
    rest = rest.slice(from);
  };
}

/** The server's response is an error; `status` is its HTTP status. */
export class ResponseError extends Error {
  constructor(status) {
    super(`the server responded with ${status}`);
    this.status = status;
  }
}

/** The id of a tick's event: the run, then the sequence in ten digits. */
export function eventId({ run }, sequence) {
  return run + String(sequence).padStart(10, "0");
}

/** Reads the stream at `url` until it ends, `onEvent` returns true, or `signal` aborts it. */
export async function readEvents(url, { token, lastId, signal, onEvent }) {
  const headers = { accept: "text/event-stream" };
  if (token) headers.authorization = `Bearer ${token}`;
  if (lastId !== undefined) headers["last-event-id"] = lastId;
  const response = await fetch(url, { headers, signal, cache: "no-store" });
  if (!response.ok) {
    await response.body?.cancel();
    throw new ResponseError(response.status);
  }
  let isDone = false;
  const parse = eventParser((event) => {
    isDone = isDone || onEvent(event) === true;
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    parse(value);
    if (isDone) {
      await reader.cancel();
      return;
    }
  }
}

/** Requests of the API other than the stream. */

import { ResponseError } from "./event_stream.js";

const TIMEOUT_MS = 20_000;

/** The body. The error of a problem response has the server's explanation as `detail`. */
export async function fetchJson(url, token) {
  const headers = { accept: "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await response.json();
  if (response.ok) return body;
  throw Object.assign(new ResponseError(response.status), { detail: body.detail });
}

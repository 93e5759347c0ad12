"""Bodies of requests: nothing here needs one, so a small one is read away and a larger one refused."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from cpuwatch.web.http.problem import problem
from cpuwatch.web.http.response import Answer

__all__ = ["announces_body", "read_away", "send_and_hang_up"]

_MOST_BYTES = 16_384
_MOST_SECONDS = 5.0
_MOST_BYTES_AFTER_REFUSAL = 1e6
_MOST_SECONDS_AFTER_REFUSAL = 2.0
_MOST_SECONDS_AFTER_REFUSAL_HTTP_2 = 30.0


def announces_body(scope: Scope, fields: Mapping[bytes, bytes]) -> bool:
    """Whether a body may come with the request; in HTTP/2 only its end tells."""
    return b"content-length" in fields or b"transfer-encoding" in fields or not _is_http_1(scope)


async def read_away(fields: Mapping[bytes, bytes], receive: Receive) -> Answer | None:
    """Read the body to its end, so that the connection can be used for the next request.

    The answer that refuses it, if it is too large or takes too long.
    """
    announced = fields.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > _MOST_BYTES:
        return _too_large()
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            whole = await _read_up_to(_MOST_BYTES, receive)
    except TimeoutError:
        return problem(408, f"the body did not come within {_MOST_SECONDS:g} s")
    return None if whole else _too_large()


async def send_and_hang_up(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body is not taken, and end the connection, or in HTTP/2 the stream.

    What is still under way is read for a moment: a connection closed over unread data is reset, which can cost the
    client the answer (RFC 9112, 9.6). And until the very end something has to read it, for Hypercorn puts a body into a
    bounded queue, and waits for room there before it lets go of the connection.
    """
    if _is_http_1(scope):
        answer = answer.with_header(b"connection", b"close")
        most_bytes, most_seconds = _MOST_BYTES_AFTER_REFUSAL, _MOST_SECONDS_AFTER_REFUSAL
    else:
        # The field is forbidden (RFC 9113, 8.2.2), and the connection goes on with other streams. But Hypercorn 0.18
        # fails, and all of them with it, if data come for a stream that has ended.
        most_bytes, most_seconds = math.inf, _MOST_SECONDS_AFTER_REFUSAL_HTTP_2
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(most_seconds):
            await _read_up_to(most_bytes, receive)
    rest = asyncio.create_task(_read_to_end(receive))
    try:
        await send({"type": "http.response.body", "body": b""})
    finally:
        rest.cancel()


def _is_http_1(scope: Scope) -> bool:
    return scope.get("http_version", "1.1") in {"1.0", "1.1"}


def _too_large() -> Answer:
    return problem(413, f"the body is too large: {_MOST_BYTES} bytes are the most, and none is needed")


async def _read_up_to(most_bytes: float, receive: Receive) -> bool:
    """Whether the end came, or the client left, before there were more bytes than that."""
    size = 0
    while size <= most_bytes:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return size <= most_bytes
    return False


async def _read_to_end(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass

"""Request bodies: no endpoint needs one, so small ones are discarded and larger ones rejected."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.web.http.request import headers
from cpuwatch.web.http.response import Answer, problem

__all__ = ["after_body", "may_have_body"]

_MAX_BYTES = 16_384
_MAX_SECONDS = 5.0
_MAX_BYTES_AFTER_REFUSAL = 1e6
_MAX_SECONDS_AFTER_REFUSAL = 2.0
_MAX_SECONDS_AFTER_REFUSAL_HTTP_2 = 30.0


async def after_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run ``app`` once a body of up to 16 KiB has been discarded, so that the connection can serve another request.

    The response is 413 to a larger body, and 408 to one that takes longer than five seconds.
    """
    refusal = await _discard(scope, receive)
    if refusal is None:
        await app(scope, receive, send)
    else:
        await _respond_and_close(refusal, scope, receive, send)


def may_have_body(scope: Scope) -> bool:
    """Whether a body may follow the headers; in HTTP/2 only the end of the stream tells."""
    fields = headers(scope)
    return b"content-length" in fields or b"transfer-encoding" in fields or not _is_http_1(scope)


def _is_http_1(scope: Scope) -> bool:
    return scope.get("http_version", "1.1") in {"1.0", "1.1"}


async def _discard(scope: Scope, receive: Receive) -> Answer | None:
    """Read the body. Returns a problem if it is too large or too slow."""
    announced = headers(scope).get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > _MAX_BYTES:
        return _too_large()
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            is_whole = await _read_up_to(_MAX_BYTES, receive)
    except TimeoutError:
        return problem(408, f"the request body did not arrive within {_MAX_SECONDS:g} s")
    return None if is_whole else _too_large()


def _too_large() -> Answer:
    return problem(413, f"the request body is too large: at most {_MAX_BYTES} bytes are allowed, and none is needed")


async def _respond_and_close(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Respond without having read the body, and close the connection, or in HTTP/2 the stream.

    Data in transit are read for a moment: a connection that is closed with unread data is reset, which can destroy the
    response (RFC 9112, 9.6). Until the very end something must read the body, because Hypercorn puts it into a bounded
    queue and waits for room there before it closes the connection.
    """
    if _is_http_1(scope):
        answer = answer.with_header(b"connection", b"close")
        max_bytes, max_seconds = _MAX_BYTES_AFTER_REFUSAL, _MAX_SECONDS_AFTER_REFUSAL
    else:
        # HTTP/2 forbids the header (RFC 9113, 8.2.2), and the connection serves other streams. But Hypercorn 0.18
        # fails, and all streams with it, if data arrive for a stream that has ended.
        max_bytes, max_seconds = math.inf, _MAX_SECONDS_AFTER_REFUSAL_HTTP_2
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(max_seconds):
            await _read_up_to(max_bytes, receive)
    rest = asyncio.create_task(_read_to_end(receive))
    try:
        await send({"type": "http.response.body", "body": b""})
    finally:
        rest.cancel()


async def _read_up_to(max_bytes: float, receive: Receive) -> bool:
    """Whether the body ended, or the client disconnected, within this number of bytes."""
    size = 0
    while size <= max_bytes:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return size <= max_bytes
    return False


async def _read_to_end(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass

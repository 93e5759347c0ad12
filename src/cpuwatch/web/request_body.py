"""Bodies of requests: nothing here needs one, so a small one is read away and a larger one refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from cpuwatch.web.answer import Answer
from cpuwatch.web.problem import problem

__all__ = ["announces_body", "read_away", "send_and_hang_up"]

_MOST_BYTES = 16_384
_MOST_SECONDS = 5.0
_MOST_BYTES_AFTER_REFUSAL = 1 << 20
_MOST_SECONDS_AFTER_REFUSAL = 2.0


def announces_body(scope: Scope, fields: Mapping[bytes, bytes]) -> bool:
    """Whether a body may come with the request; in HTTP/2 only its end tells."""
    return (
        b"content-length" in fields
        or b"transfer-encoding" in fields
        or scope.get("http_version", "1.1") not in {"1.0", "1.1"}
    )


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
    """Answer a request whose body is not read to its end, and end the connection.

    What is still under way is read for a moment: a connection closed over unread data is reset, which can cost the
    client the answer (RFC 9112, 9.6). And until the very end something has to read it, for Hypercorn puts a body into a
    bounded queue, and waits for room there before it lets go of the connection.
    """
    # HTTP/2 forbids the field, and has streams that end without their connection (RFC 9113, 8.2.2).
    if scope.get("http_version", "1.1") in {"1.0", "1.1"}:
        answer = answer.with_header(b"connection", b"close")
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(_MOST_SECONDS_AFTER_REFUSAL):
            await _read_up_to(_MOST_BYTES_AFTER_REFUSAL, receive)
    rest = asyncio.create_task(_read_to_end(receive))
    try:
        await send({"type": "http.response.body", "body": b""})
    finally:
        rest.cancel()


def _too_large() -> Answer:
    return problem(413, f"the body is too large: {_MOST_BYTES} bytes are the most, and none is needed")


async def _read_up_to(most_bytes: int, receive: Receive) -> bool:
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

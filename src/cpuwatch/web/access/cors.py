"""Cross-origin reading by web pages of configured origins (Fetch standard, 3.2: the CORS protocol)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from starlette.types import Message, Send

from cpuwatch.web.http.response import Answer
from cpuwatch.web.http.security_headers import SECURITY_HEADERS

__all__ = ["preflight", "with_cors"]

_VARY = (b"vary", b"origin")
_PERMISSIONS = (
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    # What is not safe-listed by the standard and of use here.
    (b"access-control-allow-headers", b"authorization, if-none-match, last-event-id, prefer"),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (b"access-control-expose-headers", b"etag, retry-after, server-timing")


def preflight(method: str, fields: Mapping[bytes, bytes], origins: frozenset[bytes]) -> Answer | None:
    """The answer to a browser's question whether a page of these origins may ask; None for any other request."""
    if method != "OPTIONS" or b"access-control-request-method" not in fields or fields.get(b"origin") not in origins:
        return None
    return Answer(204, (*_PERMISSIONS, *SECURITY_HEADERS), b"")


def with_cors(send: Send, origin: bytes | None, origins: frozenset[bytes]) -> Send:
    """Every answer says that it depends on the origin, and to a page of these origins that it may read it.

    Credentials that the browser keeps (cookies, certificates) are never allowed; a token is sent by the page itself.
    """
    added = [_VARY]
    if origin is not None and origin in origins:
        added += [(b"access-control-allow-origin", origin), _EXPOSED]

    def completed(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        return send(message)

    return completed

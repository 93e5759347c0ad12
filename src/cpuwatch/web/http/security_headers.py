"""What every answer tells browsers not to do with it."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Message, Send

__all__ = ["SECURITY_HEADERS", "with_security_headers"]

_POLICY = b"content-security-policy"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        _POLICY,
        # Enough for a page of our own with scripts and styles in files, and for nothing else.
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


def with_security_headers(send: Send) -> Send:
    """The same, for answers that may not have them already, as those that Starlette makes."""

    def completed(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if all(name != _POLICY for name, _ in headers):
                message = {**message, "headers": [*headers, *SECURITY_HEADERS]}
        return send(message)

    return completed

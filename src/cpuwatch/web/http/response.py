"""An HTTP answer as finished bytes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from starlette.types import Send

from cpuwatch.web.http.security_headers import SECURITY_HEADERS

__all__ = ["Answer"]

_ABOUT_THE_BODY = {b"content-type", b"content-length", b"content-encoding"}


class Answer(msgspec.Struct, frozen=True):
    """Status, headers with the content length, and the whole body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    etag: bytes | None = None

    @classmethod
    def of(
        cls,
        body: bytes,
        media_type: str,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        etag: str | None = None,
    ) -> Answer:
        """An answer with this body.

        A cache may keep one that has an ``etag``, but has to ask each time whether it still holds; nothing else of
        cpuwatch may be kept, for it is old in a second.
        """
        fields = [
            ("content-type", media_type),
            ("content-length", str(len(body))),
            ("cache-control", "no-store" if etag is None else "private, no-cache"),
            *headers,
        ]
        if etag is not None:
            fields.append(("etag", etag))
        raw = ((name.encode(), value.encode("latin-1")) for name, value in fields)
        return cls(status, (*raw, *SECURITY_HEADERS), body, None if etag is None else etag.encode("latin-1"))

    def unless_known(self, if_none_match: bytes | None) -> Answer:
        """The answer itself, or 304 without a body if the client has it already (RFC 9110, 13.1.2: weak comparison)."""
        if self.etag is None or if_none_match is None:
            return self
        known = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
        if self.etag not in known and known != [b"*"]:
            return self
        return Answer(304, tuple(field for field in self.headers if field[0] not in _ABOUT_THE_BODY), b"", self.etag)

    def with_header(self, name: bytes, value: bytes) -> Answer:
        """The same with one more header."""
        return Answer(self.status, (*self.headers, (name, value)), self.body, self.etag)

    async def send(self, send: Send, *, with_body: bool = True) -> None:
        """Hand it to the server (ASGI).

        Without the body for HEAD, whose headers are those of GET (RFC 9110, 9.3.2).
        """
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body if with_body else b""})

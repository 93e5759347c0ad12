"""An HTTP answer as finished bytes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from starlette.types import Send

__all__ = ["Answer"]


class Answer(msgspec.Struct, frozen=True):
    """Status, headers with the content length, and the whole body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    def of(cls, body: bytes, media_type: str, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """An answer with this body; nothing of cpuwatch may be kept by a cache, for it is old in a second."""
        fields = [
            ("content-type", media_type),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            *headers,
        ]
        return cls(status, tuple((name.encode(), value.encode("latin-1")) for name, value in fields), body)

    async def send(self, send: Send, *, with_body: bool = True) -> None:
        """Hand it to the server; without the body for HEAD, whose headers are those of GET (RFC 9110, 9.3.2)."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body if with_body else b""})

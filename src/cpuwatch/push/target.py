"""A receiver of metrics: where it is, how it is spoken to, and how its answers are understood."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from cpuwatch.encoding.metric_points import Interval

__all__ = ["PushHealth", "Resource", "Target", "without_credentials"]

Resource = Mapping[str, str]
"""What describes the host and this service, by the names of the semantic conventions."""


class PushHealth(Struct, frozen=True, gc=False):
    """How pushing to a receiver is going: counts of intervals since the start, and the cause if it fails now.

    ``dropped`` intervals waited too long: the receiver got what was used in them as part of the next one. ``rejected``
    ones were refused for good.
    """

    target: str
    sent: int = 0
    dropped: int = 0
    rejected: int = 0
    queued: int = 0
    failure: str | None = None


class Target(Struct, frozen=True):
    """``encode`` makes the body of a request, ``is_retried`` says which status codes are temporary.

    ``complaint`` finds what the receiver complained about in the body of a successful response.
    """

    protocol: str
    url: str
    headers: dict[str, str]
    encode: Callable[[Interval, Resource], bytes]
    is_retried: Callable[[int], bool]
    complaint: Callable[[bytes], str | None] = lambda _: None
    timeout_seconds: float = 10.0
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        """The protocol and the URL, without credentials."""
        return f"{self.protocol} to {without_credentials(self.url)}"


def without_credentials(url: str) -> str:
    """The URL as it may be logged: without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

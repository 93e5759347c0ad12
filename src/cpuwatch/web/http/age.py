"""How old a snapshot is, as a header."""

from __future__ import annotations

__all__ = ["age_header"]


def age_header(age_ms: int) -> tuple[bytes, bytes]:
    """``Server-Timing`` (w3.org/TR/server-timing)."""
    return b"server-timing", b"age;dur=%d" % age_ms

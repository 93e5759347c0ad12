"""Parses requests: target, headers and preferences."""

from __future__ import annotations

from starlette.types import Scope

__all__ = ["MAX_WAIT_SECONDS", "header", "header_text", "headers", "target", "wait_seconds"]

MAX_WAIT_SECONDS = 30
"""Less than most proxies wait for a response."""


def target(scope: Scope) -> str:
    """The path and query as sent."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
    query: bytes = scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


def headers(scope: Scope) -> dict[bytes, bytes]:
    """All headers; the values of repeated ones are joined (RFC 9110, 5.3)."""
    lines = scope["headers"]
    joined: dict[bytes, bytes] = dict(lines)
    if len(joined) < len(lines):
        joined.clear()
        for name, value in lines:
            joined[name] = value if name not in joined else joined[name] + b", " + value
    return joined


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header; the values of a repeated one are joined (RFC 9110, 5.3)."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            found = value if found is None else found + b", " + value
    return found


def header_text(scope: Scope, name: bytes) -> str | None:
    """The same as text."""
    value = header(scope, name)
    return None if value is None else value.decode("latin-1")


def wait_seconds(prefer: bytes | None) -> int | None:
    """How long the client prefers to wait (RFC 7240, ``wait``), 0 to 30 seconds; None without a valid preference.

    The first of several counts (RFC 7240, 2).
    """
    for preference in (prefer or b"").split(b","):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        if name.strip().lower() == b"wait":
            digits = value.strip().strip(b'"')
            # int() is slow for many digits.
            return min(int(digits[:9]), MAX_WAIT_SECONDS) if digits.isdigit() else None
    return None

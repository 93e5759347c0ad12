"""Parses requests: all forms of targets (RFC 9112, 3.2), headers and preferences."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import Scope

from cpuwatch.text import shortened

__all__ = [
    "MAX_WAIT_SECONDS",
    "BadTargetError",
    "header_text",
    "headers",
    "in_origin_form",
    "normalized",
    "normalized_prefix",
    "target",
    "wait_seconds",
]

MAX_WAIT_SECONDS = 30
"""Less than most proxies wait for a response."""

_MAX_URL_BYTES = 8192
_AUTHORITY = re.compile(rb"[^/?#@\\]+")
_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#@\\]+)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
_HEADERS = "cpuwatch.headers"


class BadTargetError(ValueError):
    """The request target is too long, or does not fit the method. ``status`` is that of the response."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status: int = status


def normalized(scope: Scope) -> Scope:
    """The scope of the same request with its target and prefix in one form. Raises :class:`BadTargetError`."""
    if scope.get("root_path"):
        scope = {**scope, "root_path": normalized_prefix(scope["root_path"])}
    scope = in_origin_form(scope)
    path = scope.get("raw_path") or scope["path"]
    if len(path) + len(scope["query_string"]) >= _MAX_URL_BYTES:
        raise BadTargetError(f"the URL is too long: at most {_MAX_URL_BYTES} bytes are allowed", 414)
    return scope


def in_origin_form(scope: Scope) -> Scope:
    """Return the scope of the same request with path and query as its target, and the host in ``Host``.

    Clients of a proxy send the whole URL, and servers must accept that too. The authority in it replaces ``Host``.
    ``OPTIONS *`` and ``CONNECT host:port`` have no path; they become the same methods of ``/``. Raises
    :class:`BadTargetError`.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    if raw.startswith(b"/"):
        return scope
    method: str = scope["method"]
    path, authority = b"/", None
    if match := _ABSOLUTE.fullmatch(raw):
        path, authority = match["path"] or b"/", match["authority"]
    elif method == "CONNECT" and _AUTHORITY.fullmatch(raw):
        authority = raw
    elif not (method == "OPTIONS" and raw == b"*"):
        raise BadTargetError(f"invalid target {shortened(raw.decode('latin-1'))!r}: must be a path or an http URL")
    headers = scope["headers"]
    if authority is not None:
        headers = [(b"host", authority), *((name, value) for name, value in headers if name != b"host")]
    return {**scope, "path": unquote(path.decode("ascii", "replace")), "raw_path": path, "headers": headers}


def normalized_prefix(root_path: str) -> str:
    """The prefix in the form for routing: with a leading slash and without a trailing one, or empty."""
    within = root_path.strip("/")
    return f"/{within}" if within else ""


def target(scope: Scope) -> str:
    """The path and query as sent."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
    query: bytes = scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


def headers(scope: Scope) -> dict[bytes, bytes]:
    """All headers, parsed once for each request; the values of repeated ones are joined (RFC 9110, 5.3)."""
    lines = scope["headers"]
    parsed = scope.get(_HEADERS)
    joined: dict[bytes, bytes]
    # Middleware may pass a copy of the scope with other headers.
    if parsed is not None and parsed[0] is lines:
        joined = parsed[1]
        return joined
    joined = dict(lines)
    if len(joined) < len(lines):
        joined.clear()
        for name, value in lines:
            joined[name] = value if name not in joined else joined[name] + b", " + value
    scope[_HEADERS] = (lines, joined)
    return joined


def header_text(scope: Scope, name: bytes) -> str | None:
    """The value of a header as text."""
    value = headers(scope).get(name)
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

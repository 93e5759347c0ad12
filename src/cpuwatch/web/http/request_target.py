"""Middleware for all forms of request targets (RFC 9112, 3.2), and for their length."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.text import shortened
from cpuwatch.web.http.response import problem

__all__ = ["BadTargetError", "RequestTarget", "in_origin_form", "normalized_prefix"]

_MAX_URL_BYTES = 8192
_AUTHORITY = re.compile(rb"[^/?#@\\]+")
_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#@\\]+)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)


class BadTargetError(ValueError):
    """The form of the request target does not fit the method."""


class RequestTarget:
    """Middleware that normalizes request targets, and rejects invalid and long ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request (ASGI)."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        if scope.get("root_path"):
            scope = {**scope, "root_path": normalized_prefix(scope["root_path"])}
        try:
            scope = in_origin_form(scope)
        except BadTargetError as error:
            return problem(400, str(error))(scope, receive, send)
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) >= _MAX_URL_BYTES:
            too_long = problem(414, f"the URL is too long: at most {_MAX_URL_BYTES} bytes are allowed")
            return too_long(scope, receive, send)
        return self._app(scope, receive, send)


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

"""The forms of a request's target other than the path alone (RFC 9112, 3.2)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import Scope

from cpuwatch.text import shortened

__all__ = ["BadTargetError", "in_origin_form"]

_AUTHORITY = re.compile(rb"[^/?#@\\]+")
_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#@\\]+)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)


class BadTargetError(ValueError):
    """The target of a request is in no form that goes with its method."""


def in_origin_form(scope: Scope) -> Scope:
    """The scope of the same request in the usual form: a path and a query, and the host in ``Host``.

    Clients of a proxy name the whole URL, and a server has to answer that as well. The authority in it replaces the
    one in ``Host``, which does not count then. ``OPTIONS *`` and ``CONNECT host:port`` are about no path; they come out
    as those methods of ``/``. Raises :class:`BadTargetError`.
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

"""What a request asks for: the aspect, from its query parameters and its headers."""

from __future__ import annotations

from starlette.types import Scope

from cpuwatch.encoding.formats import FORMAT, FORMATS
from cpuwatch.errors import NotAcceptableError
from cpuwatch.query.parameters import VIEW, view_from
from cpuwatch.web.http.compression import CODINGS
from cpuwatch.web.http.negotiation import choose_coding, choose_media_type
from cpuwatch.web.http.query_string import parse_query_string
from cpuwatch.web.response_cache import Aspect

__all__ = ["header", "header_text", "headers", "requested_aspect"]

_PARAMETERS = {**VIEW, **FORMAT}
_MEDIA_TYPES = {chosen.media_type: chosen.name for chosen in FORMATS.values()}


def requested_aspect(query_string: bytes, accept: bytes | None, accept_encoding: bytes | None) -> Aspect:
    """Raises :class:`~cpuwatch.errors.QueryError`, or :class:`~cpuwatch.errors.NotAcceptableError`."""
    values = parse_query_string(query_string, _PARAMETERS)
    view = view_from(values)
    chosen = values.get("format") or _accepted(accept)
    coding = choose_coding(_text(accept_encoding), list(CODINGS))
    return Aspect(view, chosen, coding)


def _accepted(accept: bytes | None) -> str:
    media_type = choose_media_type(_text(accept), list(_MEDIA_TYPES))
    if media_type is None:
        raise NotAcceptableError(f"there are {', '.join(_MEDIA_TYPES)}, or ?format={'|'.join(FORMATS)}")
    return _MEDIA_TYPES[media_type]


def headers(scope: Scope) -> dict[bytes, bytes]:
    """All headers, the values of several lines joined (RFC 9110, 5.3)."""
    joined: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        joined[name] = value if name not in joined else joined[name] + b", " + value
    return joined


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header, those of several lines joined (RFC 9110, 5.3)."""
    values = [value for key, value in scope["headers"] if key == name]
    return b", ".join(values) if values else None


def header_text(scope: Scope, name: bytes) -> str | None:
    """The same as text."""
    return _text(header(scope, name))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")

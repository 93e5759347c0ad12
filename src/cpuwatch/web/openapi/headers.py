"""The headers of requests and of answers, as the description of the service tells them."""

from __future__ import annotations

from typing import Any

from cpuwatch.tick_id import MAX_TICK_ID

__all__ = ["OF_ALL", "OF_CORS", "OF_PROBLEMS", "REQUEST_HEADERS", "RESPONSE_HEADERS"]

_TEXT: dict[str, Any] = {"type": "string"}
_ENTITY_TAG: dict[str, Any] = {"type": "string", "pattern": '^"[^"]*"$'}


def _only(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Accept-Encoding": ("The content codings that the client takes, with weights.", _TEXT),
    "If-None-Match": ("The ETags that the client has; if one of them still holds, the answer is 304.", _TEXT),
    "X-Prometheus-Scrape-Timeout-Seconds": (
        "Sent by Prometheus: a counter that began since its last scrape is 0 in this one, so that it has an increase.",
        _TEXT,
    ),
    "Prefer": ("wait=SECONDS: with If-None-Match, hold the answer back until the next tick (RFC 7240).", _TEXT),
    "Last-Event-ID": (
        "The id of the last event; what the history still has of the ticks since comes first. After another run, all.",
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_TICK_ID}, {"type": "string", "maxLength": 0}]},
    ),
}

RESPONSE_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Access-Control-Allow-Headers": ("The headers that a page of this origin may send.", _TEXT),
    "Access-Control-Allow-Methods": ("The methods that a page of this origin may use.", _TEXT),
    "Access-Control-Allow-Origin": ("The origin whose pages may read this, if the settings name it.", _TEXT),
    "Access-Control-Expose-Headers": ("The headers that such a page may read.", _TEXT),
    "Access-Control-Max-Age": ("For how many seconds the browser need not ask again.", {"type": "integer"}),
    "Allow": ("The methods that are allowed.", _TEXT),
    "Cache-Control": ("Nothing is to be used again unasked.", _only("no-store", "private, no-cache")),
    "Connection": ("The connection ends with this answer.", _only("close")),
    "Content-Encoding": ("The content coding of the body.", _only("zstd", "gzip")),
    "Content-Length": ("The length of the body in bytes.", {"type": "integer", "minimum": 0}),
    "Content-Security-Policy": ("Nothing but parts of its own may be loaded by what is shown.", _TEXT),
    "ETag": ("Changes with each tick, view, format and coding.", _ENTITY_TAG),
    "Location": ("Where to go on.", {"type": "string", "format": "uri-reference"}),
    "Preference-Applied": ("The preference that was heeded.", {"type": "string", "pattern": "^wait=[0-9]+$"}),
    "Referrer-Policy": ("Other sites do not learn where their visitors come from.", _only("no-referrer")),
    "Retry-After": ("After how many seconds to come again.", {"type": "integer", "minimum": 0}),
    "Server-Timing": ("age;dur=MILLISECONDS: how old the data are.", {"type": "string", "pattern": "^age;dur=[0-9]+$"}),
    "Vary": ("The headers of requests that the answer depends on.", _TEXT),
    "WWW-Authenticate": ("What has to be shown to get in (RFC 6750).", {"type": "string", "pattern": "^Bearer "}),
    "X-Accel-Buffering": ("A proxy is not to hold events back.", _only("no")),
    "X-Content-Type-Options": ("The type is the one told.", _only("nosniff")),
    "X-Frame-Options": ("Not to be shown within another page.", _only("DENY")),
}

OF_ALL = ("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options")
OF_CORS = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary")
"""Of all answers, where the settings name origins."""
OF_PROBLEMS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    408: (),
    413: (),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

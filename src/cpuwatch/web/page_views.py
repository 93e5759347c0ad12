"""The views whose streams the page listens to; for these there is always room (``static/feed/worker.js``)."""

from __future__ import annotations

from cpuwatch.query.parameters import VIEW, view_from
from cpuwatch.query.view import View
from cpuwatch.web.http.request import parse_query_string

__all__ = ["PAGE_VIEWS"]

_PAST = b"fields=key,cpu_percent&min_percent=0.2"

PAGE_VIEWS: frozenset[View] = frozenset({View(), view_from(parse_query_string(_PAST, VIEW))})

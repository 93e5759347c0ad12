"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from cpuwatch.web.answer import Answer

__all__ = ["nothing_yet", "problem"]


def problem(status: int, detail: str, headers: Iterable[tuple[str, str]] = (), **more: str) -> Answer:
    """The answer for an error; ``detail`` says what was wrong and what would be right, ``more`` are further members."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Answer.of(msgspec.json.encode(body), "application/problem+json", status, headers)


def nothing_yet() -> Answer:
    """The answer while there is no snapshot."""
    return problem(503, "there is no snapshot yet; the first comes within a second", [("retry-after", "1")])

"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from cpuwatch.web.answer import Answer

__all__ = ["problem"]


def problem(status: int, detail: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """The answer for an error; ``detail`` says what was wrong and what would be right."""
    body = msgspec.json.encode(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
    )
    return Answer.of(body, "application/problem+json", status, headers)

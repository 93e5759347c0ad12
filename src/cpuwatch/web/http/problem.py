"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from msgspec import UNSET, Struct, UnsetType

from cpuwatch.web.http.response import Answer

__all__ = ["Problem", "nothing_yet", "problem"]


class Problem(Struct, frozen=True):
    """The body of every error (RFC 9457).

    ``detail`` says what was wrong and what would be right. With an ``id`` the log says more.
    """

    type: str
    title: str
    status: int
    detail: str
    id: str | UnsetType = UNSET


def problem(
    status: int,
    detail: str,
    headers: Iterable[tuple[str, str]] = (),
    id: str | UnsetType = UNSET,  # noqa: A002  its name
) -> Answer:
    """The answer for an error."""
    body = Problem("about:blank", HTTPStatus(status).phrase, status, detail, id)
    return Answer.of(msgspec.json.encode(body), "application/problem+json", status, headers)


def nothing_yet() -> Answer:
    """The answer while there is no snapshot."""
    return problem(503, "there is no snapshot yet; the first comes within a second", [("retry-after", "1")])

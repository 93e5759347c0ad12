"""Describes what a path answers, beside its endpoint; :mod:`cpuwatch.web.openapi.document` collects all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from cpuwatch.query.parameters import Parameter

__all__ = ["SHOWN", "TEXT", "Operation", "Result"]

TEXT: dict[str, Any] = {"type": "string"}
"""The schema of a body that is no JSON."""

SHOWN: dict[str, Any] = {"$ref": "#/components/schemas/Shown"}
"""The schema of what a view shows of a snapshot: all of its processes' fields, some of them, or groups."""


class Result(Struct, frozen=True):
    """One of the answers: a body in one of these media types, each with a Struct or a JSON Schema; or no body.

    ``headers`` always come, ``sometimes`` those that may. Those that all answers have are not told here.
    """

    description: str
    bodies: Mapping[str, Any] = {}
    headers: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


class Operation(Struct, frozen=True):
    """A path, what can be asked of it, and what can come.

    ``problems`` are errors of its own by status. Those that any path answers with are not told here. An ``is_open``
    path needs no token.
    """

    path: str
    name: str
    summary: str
    results: Mapping[int, Result]
    problems: Mapping[int, str] = {}
    query: Mapping[str, Parameter] = {}
    in_path: Mapping[str, Parameter] = {}
    request_headers: tuple[str, ...] = ()
    is_open: bool = False

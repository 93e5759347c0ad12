"""The description of a path, declared next to its endpoint and rendered by :mod:`cpuwatch.web.openapi.document`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from cpuwatch.query.parameters import Parameter

__all__ = ["SHOWN", "TEXT", "Operation"]

TEXT: dict[str, Any] = {"type": "string"}
"""The schema of a body other than JSON."""

SHOWN: dict[str, Any] = {"$ref": "#/components/schemas/Shown"}
"""The schema of a snapshot as a view shows it: with all fields of its processes, some of them, or groups."""


class Operation(Struct, frozen=True):
    """A path, the parameters of its GET and the responses to it.

    ``content`` maps each media type of the response to a Struct, several Structs or a JSON Schema. ``headers`` and
    ``problems`` list what is specific to this path. An ``is_conditional`` response has an ETag and can be 304; an
    ``is_stream`` response has no Content-Length; an ``is_open`` path needs no token.
    """

    path: str
    name: str
    summary: str
    content: Mapping[str, Any]
    status: int = 200
    headers: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()
    in_path: Mapping[str, Parameter] = {}
    query: Mapping[str, Parameter] = {}
    request_headers: tuple[str, ...] = ()
    is_conditional: bool = False
    is_stream: bool = False
    is_open: bool = False

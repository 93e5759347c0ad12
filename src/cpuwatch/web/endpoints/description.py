"""``/openapi.json``: the description of the service."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
from starlette.types import Scope

from cpuwatch.web.http.response import Answer, FixedContent
from cpuwatch.web.openapi.document import document
from cpuwatch.web.openapi.operation import Operation
from cpuwatch.web.state import live

__all__ = ["DESCRIPTION", "Description"]

DESCRIPTION = Operation(
    path="/openapi.json",
    name="description",
    summary="This description.",
    content={"application/json": {"type": "object", "required": ["openapi", "info", "paths"]}},
    is_conditional=True,
)


class Description:
    """``GET /openapi.json``. Paths require the token if one is set."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._content = cache(
            lambda needs_token: FixedContent(
                msgspec.json.encode(document(operations, needs_token=needs_token)), "application/json"
            )
        )

    async def __call__(self, scope: Scope) -> Answer:
        """Return the response."""
        needs_token = live(scope).settings.token is not None
        return self._content(needs_token).answer(scope)

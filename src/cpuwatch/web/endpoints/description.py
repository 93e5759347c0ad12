"""``/openapi.json``: the description of the service."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
from starlette.types import Scope

from cpuwatch.web.http.fixed import answer_in_coding, in_each_coding
from cpuwatch.web.http.response import Answer
from cpuwatch.web.openapi.document import document
from cpuwatch.web.openapi.operation import Operation

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
        self._answers = cache(
            lambda needs_token: in_each_coding(
                msgspec.json.encode(document(operations, needs_token=needs_token)), "application/json"
            )
        )

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
        needs_token = scope["state"]["cpuwatch_rules"].token is not None
        return answer_in_coding(self._answers(needs_token), scope)

"""Makes an ASGI endpoint from a function that returns a finished response.

Starlette's Request and Response objects cost as much as the rest of a request to ``/cpu_usage``. Endpoints therefore
take the scope and return an :class:`~cpuwatch.web.http.response.Answer`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from cpuwatch.text import shortened
from cpuwatch.web.http.response import Answer, problem

__all__ = ["Endpoint"]

_ALLOWED = "GET, HEAD, OPTIONS"


class Endpoint:
    """An ASGI endpoint that answers GET and HEAD with the response of a function, and OPTIONS by itself."""

    def __init__(self, get: Callable[[Scope], Awaitable[Answer]]) -> None:
        self._get = get

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """One request (ASGI)."""
        match scope["method"]:
            case "GET":
                await (await self._get(scope)).send(send)
            case "HEAD":
                await (await self._get(scope)).send(send, with_body=False)
            case "OPTIONS":
                await Answer(204, ((b"allow", _ALLOWED.encode()),), b"").send(send)
            case method:
                detail = f"method {shortened(method)} is not allowed: use {_ALLOWED}"
                await problem(405, detail, headers=[("allow", _ALLOWED)]).send(send)

"""The endpoint of all that is finished before it is asked for.

Starlette's Request and Response objects cost as much as all the rest of a request to ``/cpu_usage``; endpoints of
this kind do without them and speak ASGI themselves (asgi.readthedocs.io/en/latest/specs/www.html).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from cpuwatch.text import shortened
from cpuwatch.web.http.problem import problem
from cpuwatch.web.http.response import Answer
from cpuwatch.web.http.security_headers import SECURITY_HEADERS

__all__ = ["Resource"]

_ALLOWED = "GET, HEAD, OPTIONS"


class Resource:
    """An ASGI endpoint whose GET makes an answer from the scope. It answers HEAD and OPTIONS too."""

    def __init__(self, get: Callable[[Scope], Awaitable[Answer]]) -> None:
        self._get = get

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """One request (ASGI); a body that came with it has been read away by the guard."""
        match scope["method"]:
            case "GET":
                await (await self._get(scope)).send(send)
            case "HEAD":
                await (await self._get(scope)).send(send, with_body=False)
            case "OPTIONS":
                await Answer(204, ((b"allow", _ALLOWED.encode()), *SECURITY_HEADERS), b"").send(send)
            case method:
                await problem(
                    405,
                    f"{shortened(method)} is not allowed here, only {_ALLOWED}",
                    headers=[("allow", _ALLOWED)],
                ).send(send)

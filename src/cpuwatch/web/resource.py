"""The endpoint of all that is finished before it is asked for.

Starlette's Request and Response objects cost as much as all the rest of a request to ``/cpu_usage``; endpoints of
this kind do without them and speak ASGI themselves (asgi.readthedocs.io/en/latest/specs/www.html).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from cpuwatch.web.answer import Answer
from cpuwatch.web.problem import problem

__all__ = ["Resource"]

_ALLOWED = "GET, HEAD, OPTIONS"


class Resource:
    """An ASGI endpoint whose GET makes an answer from the scope. It answers HEAD and OPTIONS too."""

    def __init__(self, get: Callable[[Scope], Awaitable[Answer]]) -> None:
        self._get = get

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """One request (ASGI); a body that comes with it is left to the server."""
        match scope["method"]:
            case "GET":
                await (await self._get(scope)).send(send)
            case "HEAD":
                await (await self._get(scope)).send(send, with_body=False)
            case "OPTIONS":
                await Answer(204, ((b"allow", _ALLOWED.encode()),), b"").send(send)
            case method:
                await problem(
                    405,
                    f"{method} is not allowed here, only {_ALLOWED}",
                    headers=[("allow", _ALLOWED), *_closing(scope)],
                ).send(send)


def _closing(scope: Scope) -> list[tuple[str, str]]:
    """The body that came with the request is not read, so its connection ends here and says so (RFC 9112, 9.3).

    HTTP/2 has streams of its own for that, and forbids the field (RFC 9113, 8.2.2).
    """
    return [("connection", "close")] if scope["http_version"] in {"1.0", "1.1"} else []

"""The access log."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.web.http.request import target
from cpuwatch.web.state import live

__all__ = ["AccessLog"]

_log = logging.getLogger("cpuwatch.access")


class AccessLog:
    """Middleware that logs a line for each request, if enabled. It logs no headers, because one contains the token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request (ASGI)."""
        if scope["type"] == "http" and live(scope).settings.access_log:
            return self._logged(scope, receive, send)
        return self._app(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, sent_bytes = None, 0
        begin_ns = time.perf_counter_ns()

        async def counting(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            client = scope.get("client")
            fields = {
                "client": client[0] if client else None,
                "method": scope["method"],
                "target": target(scope),
                "status": status,
                "bytes": sent_bytes,
                "seconds": round((time.perf_counter_ns() - begin_ns) / 1e9, 6),
            }
            _log.info("request", extra={"fields": fields})

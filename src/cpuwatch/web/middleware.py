"""The access log, and the checks that every request has to pass."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.web.access.hosts import misdirected
from cpuwatch.web.http.body_limit import after_body, may_have_body
from cpuwatch.web.http.request import BadTargetError, headers, normalized, target
from cpuwatch.web.http.response import problem
from cpuwatch.web.state import live

__all__ = ["AccessLog", "RequestCheck"]

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


class RequestCheck:
    """Middleware that lets only requests with a valid target and an allowed host pass, without their bodies.

    One pass over a request, because each further middleware costs as much as all these checks together. Starlette's
    ``TrustedHostMiddleware`` breaks IPv6 literals (:mod:`cpuwatch.web.access.hosts`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request (ASGI)."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        app = self._app
        try:
            scope = normalized(scope)
        except BadTargetError as error:
            app = problem(error.status, str(error))
        else:
            host = headers(scope).get(b"host")
            if not live(scope).hosts.is_allowed(host):
                app = misdirected(host)
        # Refused requests have bodies too.
        return after_body(app, scope, receive, send) if may_have_body(scope) else app(scope, receive, send)

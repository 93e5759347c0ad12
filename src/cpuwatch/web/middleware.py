"""The middleware that has nothing to do with access: security headers, the access log, and responses for crashes."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.web.http.request import target
from cpuwatch.web.http.response import SECURITY_HEADERS, problem
from cpuwatch.web.state import live

__all__ = ["AccessLog", "CrashResponse", "SecurityHeaders"]

_access_log = logging.getLogger("cpuwatch.access")
_log = logging.getLogger("cpuwatch.web")


class SecurityHeaders:
    """Adds :data:`~cpuwatch.web.http.response.SECURITY_HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request (ASGI)."""

        def with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = (*message.get("headers", ()), *SECURITY_HEADERS)
            return send(message)

        return self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class AccessLog:
    """Logs a line for each request, if the settings say so. It logs no headers: they contain the token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request (ASGI)."""
        is_logged = scope["type"] == "http" and live(scope).settings.access_log
        return (self._logged if is_logged else self._app)(scope, receive, send)

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
            _access_log.info("request", extra={"fields": fields})


class CrashResponse:
    """Answers a request that made the app raise with a problem, and logs the traceback under the same id.

    Starlette's ``ServerErrorMiddleware`` raises the exception again, and the server would log it a second time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        started = False

        def noting_the_start(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self._app(scope, receive, noting_the_start)
        except Exception:
            if scope["type"] != "http":
                raise
            crash_id = secrets.token_hex(8)
            request = f"{scope['method']} {target(scope)}"
            _log.exception("no response to %r, id %s", request, crash_id, extra={"fields": {"id": crash_id}})
            # If the response has started, the server closes the connection, and the client sees that it is incomplete.
            if not started:
                crash = problem(500, "internal error: the log of cpuwatch has the details under this id", id=crash_id)
                await crash.send(send, with_body=scope["method"] != "HEAD")

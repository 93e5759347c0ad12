"""A line in the log for each request, if the settings want it."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["log_request", "target"]

_log = logging.getLogger("cpuwatch.access")


async def log_request(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the app answer, and log what it answered: nothing of the headers, for a token stands there."""
    status, sent_bytes = None, 0
    begin_ns = time.perf_counter_ns()

    async def noting(message: Message) -> None:
        nonlocal status, sent_bytes
        if message["type"] == "http.response.start":
            status = message["status"]
        sent_bytes += len(message.get("body", b""))
        await send(message)

    try:
        await app(scope, receive, noting)
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


def target(scope: Scope) -> str:
    """Path and query as they were sent."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
    query: bytes = scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")

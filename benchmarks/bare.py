"""The ceiling for :mod:`benchmarks.serving`: a bare ASGI app with one fixed response, from ``BARE_ANSWER``.

The variable names a file: one line of JSON with the headers as pairs, then the body.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_Message = dict[str, Any]

_head, _, _body = Path(os.environ["BARE_ANSWER"]).read_bytes().partition(b"\n")
_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(_head)]


async def app(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": _headers})
    await send({"type": "http.response.body", "body": _body})

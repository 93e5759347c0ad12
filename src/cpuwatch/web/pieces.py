"""Sending what is large, or to many, in small pieces."""

from __future__ import annotations

import asyncio

from starlette.types import Send

__all__ = ["send_pieces"]

_PIECE_BYTES = 65_536
_STALLED_SECONDS = 60.0


async def send_pieces(send: Send, body: bytes, *, more_body: bool, stalled_seconds: float = _STALLED_SECONDS) -> bool:
    """Hand a body to the server, piece by piece; False if the client took none for so long that it is given up.

    A server copies what a client does not take yet. In pieces that is little for each, however large the body is that
    they all wait for.
    """
    for start in range(0, len(body) or 1, _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        more = more_body or start + _PIECE_BYTES < len(body)
        try:
            async with asyncio.timeout(stalled_seconds):
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            return False
    return True

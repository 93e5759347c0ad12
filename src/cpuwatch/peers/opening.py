"""Creates the watch of other machines. Its HTTP client is optional."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cpuwatch.errors import MissingExtraError
from cpuwatch.peers.peer_list import Address
from cpuwatch.peers.status import WatchedPeers
from cpuwatch.token_file import Token

__all__ = ["watch_peers"]


def watch_peers(
    where: Path | Address,
    token: Token | None,
    run_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread,
) -> WatchedPeers:
    """The machines of the list at ``where``; ``token`` is for those that have no token file.

    Raises :class:`~cpuwatch.errors.MissingExtraError` without the extra ``peers``, and
    :class:`~cpuwatch.errors.SettingsError` if the list cannot be used.
    """
    try:
        from cpuwatch.peers.source import PeerSource  # noqa: PLC0415  it imports httpcore
        from cpuwatch.peers.watch import PeerWatch  # noqa: PLC0415
    except ModuleNotFoundError:
        raise MissingExtraError("--peers needs the extra 'peers': install cpuwatch with [peers]") from None
    return PeerWatch(PeerSource(where, token, run_in_thread))

"""Runs the web app on Hypercorn, with a clean stop on SIGINT and SIGTERM."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from typing import TYPE_CHECKING, cast

from cpuwatch.errors import MissingExtraError
from cpuwatch.samplers import open_sampler
from cpuwatch.settings import Settings

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

__all__ = ["parse_bind", "serve"]

_BIND = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65_535
_GRACEFUL_SECONDS = 1.5
"""What answers under way are given to end after the signal."""

_STOP_SECONDS = 2.5
"""After this the process ends, whatever still hangs."""


def parse_bind(text: str) -> str:
    """A place to listen: ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT`` (all IPv4), ``unix:PATH`` or ``fd://N``.

    Raises ``ValueError`` with what is allowed.
    """
    match = _BIND.fullmatch(text)
    if match and int(match["port"]) <= _HIGHEST_PORT:
        return text
    if re.fullmatch(r"unix:.+|fd://[0-9]+", text):
        return text
    raise ValueError(f"{text!r} is no HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N")


def serve(settings: Settings, bind: str) -> None:
    """Serve until SIGINT or SIGTERM comes.

    Raises ``OSError`` if ``bind`` cannot be listened on (in use, not of this machine), what
    :func:`~cpuwatch.open_sampler` raises, and :class:`~cpuwatch.errors.MissingExtraError` without the packages for it.
    """
    from cpuwatch.web import create_app  # noqa: PLC0415  an optional part, with its own error if it is missing

    try:
        from hypercorn.asyncio import serve as run_hypercorn  # noqa: PLC0415
        from hypercorn.config import Config  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"cpuwatch serve needs {error.name}: pip install 'cpuwatch[web]'") from None

    # What can be wrong is tried before the server starts: inside it, the error comes back under pages of traceback.
    open_sampler(settings.backend).close()
    config = Config()
    config.bind = [bind]
    listening = config.create_sockets().insecure_sockets
    config.bind = [f"fd://{place.fileno()}" for place in listening]
    config.graceful_timeout = _GRACEFUL_SECONDS

    async def main() -> None:
        stop = asyncio.Event()

        def on_signal() -> None:
            stop.set()
            # Hypercorn waits without a bound for a client that does not read its answer.
            asyncio.get_running_loop().call_later(_STOP_SECONDS, os._exit, 0)

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
        await run_hypercorn(cast("ASGIFramework", create_app(settings)), config, shutdown_trigger=stop.wait)

    asyncio.run(main())

"""Runs the web app on Hypercorn, with a clean stop on SIGINT and SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from cpuwatch.errors import ListenError, MissingExtraError, SettingsError
from cpuwatch.host import host_of, is_address
from cpuwatch.log import logging_to_stderr
from cpuwatch.samplers import open_sampler
from cpuwatch.settings import Settings
from cpuwatch.shortened import shortened
from cpuwatch.tcp_sockets import open_tcp_sockets

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

__all__ = ["Listening", "is_local", "parse_bind", "parse_root_path", "serve"]

_BIND = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65_535
_ROOT_PATH = re.compile(r"(?:/[^/?#\s]+)*/?")
_GRACEFUL_SECONDS = 1.5
"""What answers under way are given to end after the signal."""

_BACKLOG = 1024
"""Connections that may wait to be taken. Of one more the kernel drops the first packet: its client waits a second."""

_STOP_SECONDS = 2.5
"""After this the process ends, whatever still hangs."""

_log = logging.getLogger("cpuwatch.server")


class Listening(Struct, frozen=True, gc=False):
    """Where the server listens, the prefix under which a proxy shows it, and for TLS the certificate and its key."""

    bind: str = "127.0.0.1:8845"
    root_path: str = ""
    certfile: str | None = None
    keyfile: str | None = None


def parse_bind(text: str) -> str:
    """A place to listen: ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT`` (all addresses), ``unix:PATH`` or ``fd://N``.

    Raises ``ValueError`` with what is allowed.
    """
    match = _BIND.fullmatch(text)
    if match and int(match["port"]) <= _HIGHEST_PORT:
        return text
    if re.fullmatch(r"unix:.+|fd://[0-9]{1,9}", text):
        return text
    raise ValueError(f"{text!r} is no HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N")


def parse_root_path(text: str) -> str:
    """A prefix of paths, such as ``/cpu``, without a slash at its end. Raises ``ValueError`` with what is allowed."""
    if text and not _ROOT_PATH.fullmatch(text):
        raise ValueError(f"invalid prefix {shortened(text)!r}: it has to be a path such as /cpu, without ? or #")
    return text.rstrip("/")


def is_local(bind: str) -> bool:
    """Whether only this machine can reach that place. Of ``fd://N`` and ``unix:PATH`` its maker decides."""
    if bind.startswith(("unix:", "fd://")):
        return True
    host = host_of(bind)
    return host == "localhost" or (host is not None and is_address(host) and ip_address(host).is_loopback)


def serve(settings: Settings, listening: Listening) -> None:
    """Serve until SIGINT or SIGTERM comes. The log goes to the standard error.

    Raises :class:`~cpuwatch.errors.ListenError` if ``listening.bind`` cannot be listened on (in use, not of this
    machine), :class:`~cpuwatch.errors.SettingsError` for files that are no certificate and key, what
    :func:`~cpuwatch.open_sampler` raises, and :class:`~cpuwatch.errors.MissingExtraError` without the packages for it.
    """
    from cpuwatch.web import create_app  # noqa: PLC0415  an optional part, with its own error if it is missing

    try:
        from hypercorn.asyncio import serve as run_hypercorn  # noqa: PLC0415
        from hypercorn.config import Config  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"cpuwatch serve needs {error.name}: pip install 'cpuwatch[web]'") from None

    # What can be wrong is tried before the server starts: inside it, the error comes back under pages of traceback.
    open_sampler(settings.backend, command_lines=settings.command_lines).close()
    config = Config()
    config.root_path = listening.root_path
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = _GRACEFUL_SECONDS
    config.backlog = _BACKLOG
    _prepare_tls(config, listening)
    # Detached, for Hypercorn makes sockets of its own of them: of two, each would close the number once.
    config.bind = [f"fd://{place.detach()}" for place in _open_sockets(config, listening.bind)]

    async def main() -> None:
        stop = asyncio.Event()

        def on_signal() -> None:
            stop.set()
            # Hypercorn waits without a bound for a client that does not read its answer. In a thread, for whatever
            # keeps the event loop from ending may well keep it from running too.
            end = threading.Timer(_STOP_SECONDS, os._exit, (0,))
            end.daemon = True
            end.start()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
        await run_hypercorn(cast("ASGIFramework", create_app(settings)), config, shutdown_trigger=stop.wait)

    with logging_to_stderr(settings.log_format):
        if settings.token is None and not is_local(listening.bind):
            _log.warning("open to everyone: whoever reaches %s reads all processes", listening.bind)
        asyncio.run(main())


def _open_sockets(config: Config, bind: str) -> list[socket.socket]:
    if not bind.startswith(("unix:", "fd://")):
        return open_tcp_sockets(bind)
    from hypercorn.config import SocketTypeError  # noqa: PLC0415  an optional part; serve() has checked for it

    config.bind = [bind]
    try:
        sockets = config.create_sockets()
    except (OSError, SocketTypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"cannot listen on {bind}: {reason}") from error
    return [*sockets.secure_sockets, *sockets.insecure_sockets]


def _prepare_tls(config: Config, listening: Listening) -> None:
    if (listening.certfile is None) != (listening.keyfile is None):
        raise SettingsError("--certfile and --keyfile go together")
    config.certfile, config.keyfile = listening.certfile, listening.keyfile
    try:
        config.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        files = f"{listening.certfile} and {listening.keyfile}"
        raise SettingsError(f"cannot use {files} for TLS: {error.strerror or error}") from None

"""Runs the web app on Hypercorn, with a clean stop at signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cpuwatch.errors import ListenError, MissingExtraError, SettingsError
from cpuwatch.log import logging_to_stderr
from cpuwatch.peers.opening import watch_peers
from cpuwatch.push.targets import push_targets
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.writer import RecordingWriter
from cpuwatch.samplers import open_sampler
from cpuwatch.server.listening import Listening, is_local
from cpuwatch.server.stop_log import StopLog
from cpuwatch.server.stop_signals import stopping_at_signals
from cpuwatch.server.tcp_sockets import open_tcp_sockets
from cpuwatch.server.unix_socket import unix_listener
from cpuwatch.settings import Settings

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

__all__ = ["serve"]

_GRACEFUL_SECONDS = 1.5
"""How long requests in progress may take to finish after the signal."""

_BACKLOG = 1024
"""Connections that may wait to be accepted. Beyond that, the kernel drops SYNs, and clients retry after a second."""

_CUT_OFF_SECONDS = 0.25
"""How long connections may take to close after that. Hypercorn itself waits forever for a client that does not read."""

_STOP_SECONDS = 2.5
"""The process exits this long after the signal, even if something hangs."""

_log = logging.getLogger("cpuwatch.server")


def serve(settings: Settings, listening: Listening, recording: Recording | None = None) -> None:
    """Serve until SIGINT, SIGTERM, SIGHUP or SIGQUIT. Logs to the standard error.

    With a ``recording``, it is shown in place of this machine, and nothing is sampled.

    The process exits within three seconds of the signal, with exit code 1 if this function has not returned by then.

    Raises :class:`~cpuwatch.errors.ListenError` if it cannot listen on ``listening.bind`` (in use, not an address of
    this machine), :class:`~cpuwatch.errors.SettingsError` if the certificate or key is invalid,
    :class:`~cpuwatch.errors.MissingExtraError` if the extra ``web`` is not installed, and what
    :func:`~cpuwatch.open_sampler` raises.
    """
    from cpuwatch.web import create_app  # noqa: PLC0415  optional; raises its own error if it is missing

    try:
        from hypercorn.config import Config  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{error.name} is missing; serve needs the extra 'web': install cpuwatch with [web]"
        ) from None

    # Fail before the server starts: from inside it, an error arrives under pages of traceback.
    if recording is None:
        open_sampler(settings.backend, command_lines=settings.command_lines).close()
        if settings.record is not None:
            RecordingWriter(settings.record).close()
        if settings.peers is not None:
            watch_peers(settings.peers, settings.peers_token)
        push_targets(settings, os.environ)
    config = Config()
    config.root_path = listening.root_path
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = _GRACEFUL_SECONDS
    config.backlog = _BACKLOG
    _prepare_tls(config, listening)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    stop_log = StopLog(_log.name, "the server", _STOP_SECONDS, settings.log_format)

    def on_stop(_: signal.Signals) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            loop.call_soon_threadsafe(stop.set)

    with (
        _listening_sockets(config, listening.bind),
        stopping_at_signals(on_stop, stop_log.ignored, stop_log.hard_stop, _STOP_SECONDS),
        logging_to_stderr(settings.log_format),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        if settings.token is None and not is_local(listening.bind):
            _log.warning("open to everyone: any client that reaches %s can read all processes", listening.bind)
        runner.run(_serve(cast("ASGIFramework", create_app(settings, recording)), config, stop))


async def _serve(app: ASGIFramework, config: Config, stop: asyncio.Event) -> None:
    from hypercorn.asyncio import serve as run_hypercorn  # noqa: PLC0415  part of an optional package

    from cpuwatch.server.hypercorn_quirks import abort_connections  # noqa: PLC0415

    serving = asyncio.create_task(run_hypercorn(app, config, shutdown_trigger=stop.wait))
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    await asyncio.wait({serving}, timeout=_GRACEFUL_SECONDS + _CUT_OFF_SECONDS)
    if not serving.done():
        # On Python 3.12.1 and later, Hypercorn starts its graceful timeout only after all connections have closed.
        config.graceful_timeout = 0
        if number := abort_connections():
            _log.warning("aborted %d connections whose clients did not read their responses", number)
    await serving


@contextmanager
def _listening_sockets(config: Config, bind: str) -> Iterator[None]:
    """Give ``config`` sockets that listen on ``bind``, for the duration of the block.

    They listen before the app is ready, so that no other server can take the address meanwhile.
    """
    with ExitStack() as stack:
        try:
            if bind.startswith("unix:"):
                places = [stack.enter_context(unix_listener(Path(bind.removeprefix("unix:")), _BACKLOG))]
            else:
                places = _open_sockets(config, bind)
                for place in places:
                    place.listen(_BACKLOG)
        except OSError as error:
            raise ListenError(f"cannot listen on {bind}: {error.strerror}") from error
        # Detached: Hypercorn wraps the descriptors in its own sockets, and only one owner may close them.
        config.bind = [f"fd://{place.detach()}" for place in places]
        yield


def _open_sockets(config: Config, bind: str) -> list[socket.socket]:
    if not bind.startswith("fd://"):
        return open_tcp_sockets(bind)
    from hypercorn.config import SocketTypeError  # noqa: PLC0415  optional; serve() has checked for it

    config.bind = [bind]
    try:
        sockets = config.create_sockets()
    except (OSError, SocketTypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"cannot listen on {bind}: {reason}") from error
    return [*sockets.secure_sockets, *sockets.insecure_sockets]


def _prepare_tls(config: Config, listening: Listening) -> None:
    if (listening.certfile is None) != (listening.keyfile is None):
        raise SettingsError("--certfile and --keyfile must be given together")
    config.certfile, config.keyfile = listening.certfile, listening.keyfile
    try:
        config.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        files = f"{listening.certfile} and {listening.keyfile}"
        raise SettingsError(f"cannot use {files} for TLS: {error.strerror or error}") from None

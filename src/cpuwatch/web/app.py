"""The Starlette app: its routes, its middleware in order, and its lifespan."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

import wcwidth  # noqa: F401  the table imports it late, when there may be no free file descriptor
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.environment import check_token_is_in_use, warnings_about
from cpuwatch.log import logging_to_stderr
from cpuwatch.loop_errors import loop_errors_in_one_line
from cpuwatch.monitor import Monitor
from cpuwatch.playback import Playback
from cpuwatch.push.targets import open_pusher
from cpuwatch.recording.reader import Recording, open_recording
from cpuwatch.recording.recorder import Recorder
from cpuwatch.recording.retention import RecordingLimits
from cpuwatch.samplers import open_sampler
from cpuwatch.settings import Settings
from cpuwatch.text import shortened
from cpuwatch.web.access.token import Cors, TokenCheck
from cpuwatch.web.endpoints import cpu_usage, health
from cpuwatch.web.endpoints.description import DESCRIPTION, Description
from cpuwatch.web.endpoints.history import PAST, History
from cpuwatch.web.endpoints.metrics import EXPOSED, metrics
from cpuwatch.web.endpoints.page import PAGE, STATIC, StaticFiles, page
from cpuwatch.web.endpoints.peers import MACHINES, OTHER_MACHINES, PeersEndpoint, machines
from cpuwatch.web.endpoints.recorded_range import BUSY_OVER_TIME, USED_IN_RANGE, summary, timeline
from cpuwatch.web.endpoints.stream import STREAM, Stream
from cpuwatch.web.endpoints.threads import THREADS_OF_PROCESS, threads
from cpuwatch.web.http.exchange import StallLimit
from cpuwatch.web.http.response import Answer, Endpoint, problem
from cpuwatch.web.middleware import AccessLog, RequestCheck
from cpuwatch.web.openapi.operation import Operation
from cpuwatch.web.state import Live, State, hypercorn_in_use, settings_of

__all__ = ["MIDDLEWARE", "create_app"]

_FIRST_SNAPSHOT_SECONDS = 2.0
_MAX_PATH_CHARACTERS = 200

MIDDLEWARE = (
    Middleware(AccessLog),
    Middleware(StallLimit),
    Middleware(RequestCheck),
    Middleware(Cors, settings_of),
)
"""What every request passes, from the outside in. The token is checked by each route (:class:`TokenCheck`)."""

_log = logging.getLogger("cpuwatch.web")


def create_app(settings: Settings | None = None, recording: Recording | None = None) -> Starlette:
    """Create the app, for any ASGI server that supports lifespan state.

    Its lifespan runs a monitor, or shows a ``recording`` in place of this machine. Without ``settings``, they come from
    ``CPUWATCH_*`` when the lifespan starts, not when the module is imported; an invalid setting fails the start with an
    error that names it.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        chosen, warnings = _from_environment() if settings is None else (settings, [])
        hypercorn = hypercorn_in_use()
        with (
            logging_to_stderr(chosen.log_format, "cpuwatch"),
            loop_errors_in_one_line(),
            hypercorn.hypercorn_adapted() if hypercorn else nullcontext(),
            _opened(chosen, recording) as live,
            live.source as source,
        ):
            live.hosts.look_up_full_name()
            for warning in warnings:
                _log.warning("%s", warning)
            # The app cannot know where the server listens; code that passes settings does.
            if settings is None and chosen.token is None:
                _log.warning(
                    "no token is set (CPUWATCH_TOKEN_FILE): anyone who can reach this port can read all processes"
                )
            # So that the first request gets data. If sampling fails, /readyz reports it.
            await source.wait_async(after=0, timeout=_FIRST_SNAPSHOT_SECONDS)
            async with live.running():
                yield {"cpuwatch": live}

    routes = _routes()
    app = Starlette(
        routes=routes, middleware=MIDDLEWARE, lifespan=lifespan, exception_handlers={Exception: _on_crash_of_middleware}
    )
    # Starlette would redirect to an absolute URL, which differs from the one that clients see behind a proxy.
    app.router.redirect_slashes = False
    app.router.default = _UnknownPath(app.router, routes)
    return app


@contextmanager
def _opened(settings: Settings, recording: Recording | None) -> Iterator[Live]:
    """A service that is not started yet. What it records and pushes ends with the block."""
    if recording is not None:
        yield Live(Playback(recording), settings, recording=recording)
        return
    sampler = open_sampler(settings.backend, command_lines=settings.command_lines)
    monitor = Monitor(settings.interval, settings.history, sampler, settings.history_bytes)
    with open_pusher(settings, os.environ) or nullcontext() as pusher:
        if pusher is not None:
            monitor.follow_ticks(pusher.take)
        if settings.record is None:
            yield Live(monitor, settings, pusher=pusher)
            return
        limits = RecordingLimits(settings.record_max_bytes, settings.record_max_age)
        with Recorder(settings.record, limits) as recorder:
            monitor.follow_ticks(recorder.record)
            yield Live(monitor, settings, recorder, open_recording(settings.record), pusher)


def _routes() -> list[Route]:
    endpoints: list[tuple[Operation, ASGIApp]] = [
        (cpu_usage.ALL_PROCESSES, Endpoint(cpu_usage.all_processes)),
        (STREAM, Endpoint(Stream())),
        (PAST, History()),
        (USED_IN_RANGE, Endpoint(summary)),
        (BUSY_OVER_TIME, Endpoint(timeline)),
        (cpu_usage.ONE_PROCESS, Endpoint(cpu_usage.one_process)),
        (THREADS_OF_PROCESS, Endpoint(threads)),
        (cpu_usage.REDIRECT, Endpoint(cpu_usage.redirect)),
        (EXPOSED, Endpoint(metrics)),
        (OTHER_MACHINES, Endpoint(PeersEndpoint())),
        (PAGE, Endpoint(page)),
        (MACHINES, Endpoint(machines)),
        (STATIC, Endpoint(StaticFiles())),
        (health.ALIVE, Endpoint(health.alive)),
        (health.READY, Endpoint(health.ready)),
    ]
    described = [operation for operation, _ in endpoints]
    endpoints.append((DESCRIPTION, Endpoint(Description([*described, DESCRIPTION]))))
    needs_token = [Middleware(TokenCheck, settings_of)]
    return [
        _Path(operation.path, endpoint, name=operation.name, middleware=None if operation.is_open else needs_token)
        for operation, endpoint in endpoints
    ]


class _Path(Route):
    """A route that compares its path as text before it uses a regular expression, which costs ten times as much."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this route answers the request, and what the scope needs for it."""
        if scope["path"] == self.path and scope["type"] == "http":
            return Match.FULL, {"endpoint": self.endpoint}
        return super().matches(scope)


class _UnknownPath:
    """Answers paths without a route: redirects those with a trailing slash; others get 404 with a list of the paths.

    ``root_path`` is the prefix under which a proxy publishes the service. Some proxies keep it in the path and others
    remove it, so a path that matches nothing without the prefix is routed as it is.
    """

    def __init__(self, router: Router, routes: list[Route]) -> None:
        self._router = router
        self._routes = routes
        self._paths = ", ".join(
            route.path.replace(":path}", "}") for route in routes if route.path != cpu_usage.REDIRECT.path
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        if scope["type"] != "http":
            await self._router.not_found(scope, receive, send)
            return
        answer = self._redirection(scope)
        if answer is None and scope.get("root_path"):
            await self._router({**scope, "root_path": ""}, receive, send)
            return
        if answer is None:
            shown = shortened(scope["path"], _MAX_PATH_CHARACTERS)
            answer = problem(404, f"nothing is served at {shown}: the paths are {self._paths}")
        await TokenCheck(answer, settings_of)(scope, receive, send)

    def _redirection(self, scope: Scope) -> Answer | None:
        path = scope["path"].rstrip("/")
        shorter = {**scope, "path": path}
        if path == scope["path"] or all(route.matches(shorter)[0] is not Match.FULL for route in self._routes):
            return None
        return cpu_usage.redirection(scope, path.removeprefix(scope.get("root_path", "")))


def _from_environment() -> tuple[Settings, list[str]]:
    """Read the settings, and log warnings about other variables."""
    settings = Settings.from_environment(os.environ)
    check_token_is_in_use(os.environ, settings)
    return settings, warnings_about(os.environ)


async def _on_crash_of_middleware(_: Request, __: Exception) -> Response:
    """Starlette raises the exception again after this, so the server logs it."""
    answer = problem(500, "internal error: the log of the server has the details")
    return Response(answer.body, answer.status, {name.decode(): value.decode() for name, value in answer.headers})

"""``/livez``: the service is running. ``/readyz``: the served data are fresh."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from starlette.types import Scope

from cpuwatch.push.target import PushHealth
from cpuwatch.recording.recorder import RecorderHealth
from cpuwatch.web.http.response import Answer, problem
from cpuwatch.web.openapi.operation import Operation
from cpuwatch.web.state import Live, live

__all__ = ["ALIVE", "READY", "alive", "ready"]


class Alive(Struct, frozen=True):
    """The body of ``/livez``."""

    status: Literal["alive"] = "alive"


class Ready(Struct, frozen=True):
    """The body of ``/readyz``: the age of the served snapshot, and the number of restarted tasks.

    ``recording`` tells how recording is going, null without one, and ``push`` how pushing to each receiver is going. If
    they fail, the service is still ready.
    """

    age_seconds: float
    restarts: int
    recording: RecorderHealth | None = None
    push: list[PushHealth] = []
    status: Literal["ready"] = "ready"


ALIVE = Operation(
    path="/livez",
    name="alive",
    summary="The process is alive.",
    content={"application/json": Alive},
    is_open=True,
)
READY = Operation(
    path="/readyz",
    name="ready",
    summary="The served snapshot is fresh: at most three intervals old.",
    content={"application/json": Ready},
    problems=(503,),
    is_open=True,
)


async def alive(_: Scope) -> Answer:
    """Always 200."""
    return Answer.of(msgspec.json.encode(Alive()), "application/json")


async def ready(scope: Scope) -> Answer:
    """200 while the snapshot that clients get is at most three intervals old, else 503 with the reason."""
    state = live(scope)
    max_age_seconds, age_seconds = state.source.max_age_seconds, state.age_seconds
    if age_seconds is not None and age_seconds <= max_age_seconds:
        recording = None if state.recorder is None else state.recorder.health
        push = [] if state.pusher is None else state.pusher.health
        body = Ready(age_seconds, state.supervisor.restarts, recording, push)
        return Answer.of(msgspec.json.encode(body), "application/json")
    reason = (
        "there is no snapshot yet"
        if age_seconds is None
        else (
            f"the newest snapshot is {age_seconds:.1f} s old, "
            f"more than 3 intervals of {state.source.interval_seconds:g} s"
        )
    )
    return problem(503, reason + _cause(state), [("retry-after", "1")])


def _cause(state: Live) -> str:
    """The reason why no newer snapshot is served, as far as it is known."""
    source = state.source
    sampled_seconds = source.age_seconds
    if sampled_seconds is not None and sampled_seconds <= source.max_age_seconds:
        return f"; newer snapshots are not shown: {state.supervisor.failure or 'encoding takes too long'}"
    failure, reading_seconds = source.health.failure, source.reading_seconds
    if reading_seconds is not None and reading_seconds > source.interval_seconds:
        return f"; a reading has been under way for {reading_seconds:.1f} s"
    return "" if failure is None else f"; sampling fails: {failure}"

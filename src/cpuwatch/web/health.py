"""``/livez``: the process answers. ``/readyz``: what it answers is fresh."""

from __future__ import annotations

import msgspec
from starlette.types import Scope

from cpuwatch.web.answer import Answer
from cpuwatch.web.problem import problem
from cpuwatch.web.state import live

__all__ = ["alive", "ready"]

_STALE_AFTER_INTERVALS = 3


async def alive(_: Scope) -> Answer:
    """Always 200."""
    return Answer.of(b'{"status":"alive"}', "application/json")


async def ready(scope: Scope) -> Answer:
    """200 while the newest snapshot is at most three intervals old, else 503 with the reason."""
    monitor = live(scope).monitor
    age_seconds, health = monitor.age_seconds, monitor.health
    if age_seconds is not None and age_seconds <= _STALE_AFTER_INTERVALS * monitor.interval_seconds:
        return Answer.of(msgspec.json.encode({"status": "ready", "age_seconds": age_seconds}), "application/json")
    reason = (
        "there is no snapshot yet"
        if age_seconds is None
        else (
            f"the newest snapshot is {age_seconds:.1f} s old, "
            f"more than {_STALE_AFTER_INTERVALS} intervals of {monitor.interval_seconds:g} s"
        )
    )
    cause = f"; sampling fails: {health.failure}" if health.failure else ""
    return problem(503, reason + cause, [("retry-after", "1")])

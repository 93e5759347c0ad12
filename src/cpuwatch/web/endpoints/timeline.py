"""``/cpu_usage/timeline``: how busy the machine was over a range of the recording."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.types import Scope

from cpuwatch.query.parameters import TIMELINE
from cpuwatch.query.summary import Timeline
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.timeline import timeline as timeline_of
from cpuwatch.web.endpoints.recorded import answer_from_recording
from cpuwatch.web.http.response import Answer
from cpuwatch.web.openapi.operation import Operation

__all__ = ["BUSY_OVER_TIME", "timeline"]

_POINTS = 500

BUSY_OVER_TIME = Operation(
    path="/cpu_usage/timeline",
    name="timeline",
    summary="The machine over a range of the recording, in a limited number of points; gaps stay gaps.",
    content={"application/json": Timeline},
    headers=("Vary", "Content-Encoding"),
    problems=(404, 503),
    query=TIMELINE,
    request_headers=("Accept-Encoding",),
)


async def timeline(scope: Scope) -> Answer:
    """``GET /cpu_usage/timeline``."""
    return await answer_from_recording(scope, TIMELINE, _read)


def _read(recording: Recording, start: datetime, end: datetime, values: dict[str, Any]) -> Timeline:
    return timeline_of(recording, start, end, values.get("points", _POINTS))

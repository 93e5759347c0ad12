"""``/cpu_usage/summary``: what used the CPU in a range of the recording."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.types import Scope

from cpuwatch.query.parameters import SUMMARY
from cpuwatch.query.summary import GroupSummaries, ProcessSummaries
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.summary import summarize
from cpuwatch.web.endpoints.recorded import answer_from_recording
from cpuwatch.web.http.response import Answer
from cpuwatch.web.openapi.operation import Operation

__all__ = ["USED_IN_RANGE", "summary"]

USED_IN_RANGE = Operation(
    path="/cpu_usage/summary",
    name="summary",
    summary="What each process or group used in a range of the recording, the largest first.",
    content={"application/json": (ProcessSummaries, GroupSummaries)},
    headers=("Vary", "Content-Encoding"),
    problems=(404, 503),
    query=SUMMARY,
    request_headers=("Accept-Encoding",),
)


async def summary(scope: Scope) -> Answer:
    """``GET /cpu_usage/summary``."""
    return await answer_from_recording(scope, SUMMARY, _read)


def _read(
    recording: Recording, start: datetime, end: datetime, values: dict[str, Any]
) -> ProcessSummaries | GroupSummaries:
    return summarize(recording, start, end, values.get("group_by"), values.get("top"))

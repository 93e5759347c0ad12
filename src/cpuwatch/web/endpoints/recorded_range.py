"""``/cpu_usage/summary`` and ``/cpu_usage/timeline``: a range of the recording, in sums and as a curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.json import encode
from cpuwatch.query.parameters import SUMMARY, TIMELINE, Parameter, parse_query_string
from cpuwatch.query.summary import GroupSummaries, ProcessSummaries, Timeline
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.span import recorded_span
from cpuwatch.recording.summary import summarize
from cpuwatch.recording.timeline import timeline as timeline_of
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import header_text
from cpuwatch.web.http.response import CODINGS, Answer, coded, no_snapshot_yet, problem
from cpuwatch.web.openapi.operation import Operation
from cpuwatch.web.state import live

__all__ = ["BUSY_OVER_TIME", "USED_IN_RANGE", "summary", "timeline"]

_POINTS = 500

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


_Read = Callable[[Recording, datetime, datetime, Mapping[str, Any]], Struct]


class _RecordedRange:
    """A GET of the range ``from`` to ``to``, by default all that is recorded.

    The recording is read in a thread, for one request at a time.
    """

    def __init__(self, parameters: Mapping[str, Parameter], read: _Read) -> None:
        self._parameters = parameters
        self._read = read

    async def __call__(self, scope: Scope) -> Answer:
        """Return the response."""
        state = live(scope)
        values = parse_query_string(scope["query_string"], self._parameters)
        recording = state.recording
        if recording is None:
            return problem(404, "there is no recording: start cpuwatch with --record DIR")
        coding = choose_coding(header_text(scope, b"accept-encoding"), list(CODINGS))

        def answer() -> Answer:
            span = recorded_span(recording)
            if span is None:
                return no_snapshot_yet()
            result = self._read(recording, values.get("from", span[0]), values.get("to", span[1]), values)
            body, said = coded(encode(result), coding)
            return Answer.of(body, "application/json", headers=[("vary", "accept-encoding"), *said])

        return await state.cache.read_past(answer)


def _used(
    recording: Recording, start: datetime, end: datetime, values: Mapping[str, Any]
) -> ProcessSummaries | GroupSummaries:
    return summarize(recording, start, end, values.get("group_by"), values.get("top"))


def _busy(recording: Recording, start: datetime, end: datetime, values: Mapping[str, Any]) -> Timeline:
    return timeline_of(recording, start, end, values.get("points", _POINTS))


summary = _RecordedRange(SUMMARY, _used)
timeline = _RecordedRange(TIMELINE, _busy)

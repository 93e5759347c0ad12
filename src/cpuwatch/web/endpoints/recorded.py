"""What the endpoints share that read a range of the recording."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.json import encode
from cpuwatch.query.parameters import Parameter, parse_query_string
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.span import recorded_span
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import header_text
from cpuwatch.web.http.response import CODINGS, Answer, coded, no_snapshot_yet, problem
from cpuwatch.web.state import live

__all__ = ["answer_from_recording"]

_Read = Callable[[Recording, datetime, datetime, dict[str, Any]], Struct]


async def answer_from_recording(scope: Scope, known: dict[str, Parameter], read: _Read) -> Answer:
    """The result of ``read`` for the range ``from`` to ``to``, by default all that is recorded.

    It runs in a thread, one at a time.
    """
    state = live(scope)
    values = parse_query_string(scope["query_string"], known)
    recording = state.recording
    if recording is None:
        return problem(404, "there is no recording: start cpuwatch with --record DIR")
    coding = choose_coding(header_text(scope, b"accept-encoding"), list(CODINGS))

    def answer() -> Answer:
        span = recorded_span(recording)
        if span is None:
            return no_snapshot_yet()
        result = read(recording, values.get("from", span[0]), values.get("to", span[1]), values)
        body, said = coded(encode(result), coding)
        return Answer.of(body, "application/json", headers=[("vary", "accept-encoding"), *said])

    return await state.cache.read_past(answer)

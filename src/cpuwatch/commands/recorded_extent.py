"""What a recording covers, as messages say it."""

from __future__ import annotations

from datetime import timedelta

from cpuwatch.encoding.summary import local_text
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.span import recorded_span

__all__ = ["extent_text"]


def extent_text(recording: Recording) -> str:
    """From when to when the recording goes, in local time."""
    span = recorded_span(recording)
    if span is None:
        return "the recording is empty"
    # The beginning of the span is just before the first snapshot.
    first = span[0] + timedelta(microseconds=1)
    return f"the recording begins at {local_text(first)} and ends at {local_text(span[1])}"

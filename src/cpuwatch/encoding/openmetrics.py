"""Metric families as text: OpenMetrics 1.0, and the older Prometheus text format 0.0.4. Pure.

prometheus.io/docs/specs/om/open_metrics_spec and prometheus.io/docs/instrumenting/exposition_formats. Both escape
alike; they differ in the name that a counter is declared with, in what older readers have no word for, and in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from cpuwatch.text import printable, text_without_surrogates

__all__ = ["EXPOSITIONS", "Exposition", "Family", "Sample", "openmetrics_text", "prometheus_text"]

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
"""Of the older format; OpenMetrics escapes quotation marks in a help text too."""
_SUFFIXES = {"gauge": "", "counter": "_total", "info": "_info"}


class Sample(NamedTuple):
    """A value for a set of labels; ``since`` is when a counter stood at 0, if that is known."""

    labels: Mapping[str, str]
    value: float
    since: datetime | None = None


class Family(Struct, frozen=True, gc=False):
    """A metric: its name without the suffix of its kind, what it means, and a value for each set of labels.

    The name ends in its ``unit``, if it has one. An ``info`` has the value 1 always: its labels are what it says.
    """

    name: str
    kind: Literal["gauge", "counter", "info"]
    help: str
    samples: Sequence[Sample]
    unit: str | None = None


def openmetrics_text(families: Iterable[Family]) -> bytes:
    """OpenMetrics 1.0, with the time since which each counter counts. Families without a sample are left out."""
    lines: list[str] = []
    for family in filter(lambda family: family.samples, families):
        lines.append(f"# TYPE {family.name} {family.kind}\n")
        if family.unit is not None:
            lines.append(f"# UNIT {family.name} {family.unit}\n")
        lines.append(f"# HELP {family.name} {family.help.translate(_ESCAPES)}\n")
        name = family.name + _SUFFIXES[family.kind]
        for labels, sample in _series(family).items():
            lines.append(_line(name, labels, _value(family, sample)))
            if family.kind == "counter" and sample.since is not None:
                lines.append(_line(f"{family.name}_created", labels, sample.since.timestamp()))
    return "".join([*lines, "# EOF\n"]).encode()


def prometheus_text(families: Iterable[Family]) -> bytes:
    """Text format 0.0.4: no units, no times, and an ``info`` is a gauge. Families without a sample are left out."""
    lines: list[str] = []
    for family in filter(lambda family: family.samples, families):
        name = family.name + _SUFFIXES[family.kind]
        kind = "gauge" if family.kind == "info" else family.kind
        lines.append(f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}\n")
        lines.append(f"# TYPE {name} {kind}\n")
        lines += (_line(name, labels, _value(family, sample)) for labels, sample in _series(family).items())
    return "".join(lines).encode()


def _series(family: Family) -> dict[str, Sample]:
    """One sample for each set of labels as it is written: a reader refuses a second of the same series.

    Different names may look alike in this text, as one that has a byte and one that spells out its escape.
    """
    series: dict[str, Sample] = {}
    for sample in family.samples:
        text = ",".join(f'{name}="{_escaped(label)}"' for name, label in sample.labels.items())
        alike = series.get(text)
        series[text] = sample if alike is None else _sum(alike, sample)
    return series


def _sum(one: Sample, other: Sample) -> Sample:
    beginnings = [since for since in (one.since, other.since) if since is not None]
    return Sample(one.labels, one.value + other.value, min(beginnings, default=None))


def _line(name: str, labels: str, value: float) -> str:
    return f"{name}{{{labels}}} {value!r}\n" if labels else f"{name} {value!r}\n"


def _value(family: Family, sample: Sample) -> float:
    return 1 if family.kind == "info" else sample.value


def _escaped(label: str) -> str:
    """Any text as the value of a label.

    Lone surrogates are no Unicode: the bytes they stand for are shown. Control characters are shown as escapes, as in
    the table: a label is read on terminals and pages. A line feed has an escape of the format's own.
    """
    lines = text_without_surrogates(label).split("\n")
    return "\n".join(map(printable, lines)).translate(_ESCAPES)


class Exposition(Struct, frozen=True):
    """One of the text formats, as the wire names it."""

    media_type: str
    content_type: str
    encode: Callable[[Iterable[Family]], bytes]


EXPOSITIONS = {
    exposition.media_type: exposition
    for exposition in (
        # A reader that names neither, as a browser or curl, can show plain text; scrapers that can do more ask for it.
        Exposition("text/plain", "text/plain; version=0.0.4; charset=utf-8", prometheus_text),
        Exposition(
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            openmetrics_text,
        ),
    )
}
"""By media type, in order of preference."""

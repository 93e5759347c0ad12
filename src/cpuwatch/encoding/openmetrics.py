"""Metric families as text: OpenMetrics 1.0, and the older Prometheus text format 0.0.4. Pure.

prometheus.io/docs/specs/om/open_metrics_spec and prometheus.io/docs/instrumenting/exposition_formats. Both escape
alike; they differ in the name that a counter is declared with, in what older readers have no word for, and in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from cpuwatch.samplers import _kernel_text

__all__ = ["EXPOSITIONS", "Exposition", "Family", "openmetrics_text", "prometheus_text"]

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
"""Of the older format; OpenMetrics escapes quotation marks in a help text too."""
_SUFFIXES = {"gauge": "", "counter": "_total", "info": "_info"}


class Family(Struct, frozen=True, gc=False):
    """A metric: its name without the suffix of its kind, what it means, and a value for each set of labels.

    The name ends in its ``unit``, if it has one. An ``info`` has the value 1 always: its labels are what it says.
    """

    name: str
    kind: Literal["gauge", "counter", "info"]
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]
    unit: str | None = None


def openmetrics_text(families: Iterable[Family]) -> bytes:
    """OpenMetrics 1.0. Families without a sample are left out."""
    lines: list[str] = []
    for family in filter(lambda family: family.samples, families):
        lines.append(f"# TYPE {family.name} {family.kind}\n")
        if family.unit is not None:
            lines.append(f"# UNIT {family.name} {family.unit}\n")
        lines.append(f"# HELP {family.name} {family.help.translate(_ESCAPES)}\n")
        lines += _samples(family)
    return "".join([*lines, "# EOF\n"]).encode()


def prometheus_text(families: Iterable[Family]) -> bytes:
    """Text format 0.0.4: no units, and an ``info`` is a gauge. Families without a sample are left out."""
    lines: list[str] = []
    for family in filter(lambda family: family.samples, families):
        name = family.name + _SUFFIXES[family.kind]
        kind = "gauge" if family.kind == "info" else family.kind
        lines.append(f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}\n")
        lines.append(f"# TYPE {name} {kind}\n")
        lines += _samples(family)
    return "".join(lines).encode()


def _samples(family: Family) -> Iterator[str]:
    """The lines of values. Label sets that look alike in this text are one series, for a reader refuses the second."""
    values: dict[str, float] = {}
    for labels, value in family.samples:
        text = ",".join(f'{name}="{_escaped(label)}"' for name, label in labels.items())
        values[text] = values.get(text, 0.0) + value
    name = family.name + _SUFFIXES[family.kind]
    for text, value in values.items():
        shown = 1 if family.kind == "info" else value
        yield f"{name}{{{text}}} {shown!r}\n" if text else f"{name} {shown!r}\n"


def _escaped(label: str) -> str:
    """Any text as the value of a label. Lone surrogates are no Unicode: the bytes they stand for are shown."""
    return _kernel_text.from_surrogates(label).translate(_ESCAPES)


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

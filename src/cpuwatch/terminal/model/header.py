"""The top of the screen: the machine, its CPUs, the attribution, and the last minutes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from itertools import groupby
from math import ceil
from typing import Literal

from msgspec import Struct

from cpuwatch.model import MachineUsage, Snapshot
from cpuwatch.terminal.model.text import Line, Screen, Span, fitted, joined, percent
from cpuwatch.thread_usage import ThreadsSnapshot

__all__ = ["Link", "Scene", "cpu_lines", "graph_lines", "header_lines", "title_line"]

_MIN_METER_CELLS = 22
_MAX_METERS_IN_LINE = 4
_MAX_METER_LINES = 4
_CPU_LABEL_CELLS = 4
_MIN_WAITING_CELLS = 72
_VERDICT_CELLS = 9
_GRAPH_LABEL_CELLS = 6


class Link(Struct, frozen=True):
    """Where the snapshots come from, and whether they still come. ``note`` says why not, or since when."""

    source: str
    state: Literal["live", "recorded", "stale", "connecting"] = "live"
    note: str = ""


class Scene(Struct, frozen=True):
    """What the header shows beside the snapshot. ``past`` has the machine's use of each tick, the oldest first.

    ``shown`` is the index in ``past`` of the snapshot; ``is_frozen`` tells that the user stopped the time.
    ``totals`` has the total of each process that ran, by key, in each of the last ticks, the oldest first.
    ``threads`` are those of the process whose panel is open, or say why they are unknown; None until they are measured.
    """

    link: Link
    past: Sequence[float | None]
    shown: int
    is_frozen: bool = False
    zone: tzinfo | None = None
    totals: Sequence[Mapping[str, float]] = ()
    threads: ThreadsSnapshot | str | None = None


def header_lines(snapshot: Snapshot, scene: Scene, screen: Screen, *, each_cpu: bool) -> list[Line]:
    """All lines above the table. A low screen leaves out the graph first, then the CPUs."""
    lines = [title_line(snapshot, scene, screen)]
    meters = cpu_lines(snapshot, screen) if each_cpu else []
    if len(meters) + 10 <= screen.rows:
        lines += meters
    lines.append(_machine_line(snapshot, screen))
    lines.append(_attribution_line(snapshot, screen))
    height = min(4, (screen.rows - len(lines) - 10) // 4)
    if height > 0:
        lines += graph_lines(scene, screen, height)
    return lines


def title_line(snapshot: Snapshot, scene: Scene, screen: Screen) -> Line:
    """The machine, the time and the state of the source."""
    host = snapshot.host
    local = snapshot.time.astimezone(scene.zone)
    load = " ".join(f"{value:.2f}" for value in snapshot.machine.load_average or ())
    status = _status(scene, screen)
    parts: list[Line] = [
        [("title", screen.shown(host.name) or "(no name)")],
        [("", local.strftime("%Y-%m-%d %H:%M:%S" if screen.columns >= 60 else "%H:%M:%S"))],
        [("dim", "load "), ("", load)] if load and screen.columns >= 60 else [],
        [("dim", f"{len(snapshot.processes)} processes")] if screen.columns >= 90 else [],
        [("dim", f"every {snapshot.interval_seconds:.1f} s, {screen.shown(host.backend)}")]
        if screen.columns >= 120
        else [],
    ]
    left = max(0, screen.columns - len(status[1]) - 1)
    return [*fitted(joined(parts), left), ("", " "), *fitted([status], screen.columns - left - 1)]


def _status(scene: Scene, screen: Screen) -> Span:
    note = screen.shown(scene.link.note)
    if scene.is_frozen:
        return ("frozen", " frozen " if not note or scene.link.state == "live" else f" frozen, {note} ")
    state = scene.link.state
    return (state, f" {note or state} ")


def cpu_lines(snapshot: Snapshot, screen: Screen) -> list[Line]:
    """A meter for each CPU, side by side; one character for each if there are too many of them."""
    values = snapshot.machine.per_cpu_percent
    in_line = min(_MAX_METERS_IN_LINE if len(values) > 2 else 2, max(1, screen.columns // _MIN_METER_CELLS))
    in_line = max(1, min(in_line, len(values)))
    if ceil(len(values) / in_line) > _MAX_METER_LINES:
        return _compact_cpus(values, screen)
    height = ceil(len(values) / in_line)
    width = (screen.columns + 2) // in_line - 2
    lines = []
    for row in range(height):
        line: Line = []
        for number in range(row, len(values), height):
            line += [("", "  ")] if line else []
            line += _meter(f"{number:>3}", values[number], width, screen)
        lines.append(fitted(line, screen.columns))
    return lines


def _meter(label: str, value: float | None, width: int, screen: Screen) -> Line:
    number = "offline" if value is None else f"{percent(value)}%"
    length = max(1, width - _CPU_LABEL_CELLS - 8)
    return [
        ("dim", f"{label:<{_CPU_LABEL_CELLS}}"),
        *_bar([(_heat(value), value or 0.0)], 100.0, length, screen),
        ("", f"{number:>8}"),
    ]


def _compact_cpus(values: Sequence[float | None], screen: Screen) -> list[Line]:
    width = max(1, screen.columns - _GRAPH_LABEL_CELLS)
    lines: list[Line] = []
    for begin in range(0, min(len(values), width * _MAX_METER_LINES), width):
        part = values[begin : begin + width]
        line: Line = [("dim", f"{begin:>3}".ljust(_GRAPH_LABEL_CELLS))]
        line += [(_heat(value), _level(value, screen)) for value in part]
        lines.append(fitted(line, screen.columns))
    return lines


def _machine_line(snapshot: Snapshot, screen: Screen) -> Line:
    machine, attribution = snapshot.machine, snapshot.attribution
    parts = [
        ("own", attribution.processes_percent or 0.0),
        ("exited", attribution.exited_percent or 0.0),
        ("unattributed", attribution.unattributed_percent or 0.0),
    ]
    waiting = _waiting(machine) if screen.columns >= _MIN_WAITING_CELLS else []
    length = max(1, screen.columns - _CPU_LABEL_CELLS - 8 - sum(len(text) for _, text in waiting))
    return fitted(
        [
            ("bold", "CPU ".ljust(_CPU_LABEL_CELLS)),
            *_bar(parts, 100.0, length, screen),
            ("bold", f"{percent(machine.cpu_percent)}%".rjust(8)),
            *waiting,
        ],
        screen.columns,
    )


def _waiting(machine: MachineUsage) -> Line:
    """The pressure and the verdict, if either is known. The width is fixed, so that the bar keeps its length."""
    if machine.pressure_percent is None and machine.verdict is None:
        return []
    verdict = machine.verdict or ""
    style = "warm" if verdict in {"throttled", "crowded", "stolen"} else ""
    return [
        ("dim", "  pressure "),
        ("", percent(machine.pressure_percent).rjust(5)),
        (style, "  " + verdict.ljust(_VERDICT_CELLS)),
    ]


def _attribution_line(snapshot: Snapshot, screen: Screen) -> Line:
    machine, attribution = snapshot.machine, snapshot.attribution
    parts: list[Line] = [
        [("own", "own "), ("", percent(attribution.processes_percent))],
        [("exited", "exited "), ("", percent(attribution.exited_percent))],
        [("unattributed", "unattributed "), ("", percent(attribution.unattributed_percent))],
    ]
    if screen.columns >= 80:
        parts += [
            [("dim", f"{name} "), ("", percent(value))]
            for name, value in (
                ("user", machine.user_percent),
                ("system", machine.system_percent),
                ("iowait", machine.iowait_percent),
            )
        ]
    if screen.columns >= 110:
        parts.append([("dim", "irq "), ("", percent(machine.irq_percent))])
        parts.append([("dim", "steal "), ("", percent(machine.steal_percent))])
        parts.append([("dim", f"% of {snapshot.host.logical_cpus} CPUs")] if screen.columns >= 120 else [])
    return fitted([("", " " * _CPU_LABEL_CELLS), *joined(parts)], screen.columns)


def graph_lines(scene: Scene, screen: Screen, height: int) -> list[Line]:
    """The machine's use over time, a column for each tick; the one that is shown is marked while time is frozen."""
    width = max(1, screen.columns - _CPU_LABEL_CELLS - 8)
    # The shown tick stays in sight: what is newer moves out to the right.
    end = max(min(len(scene.past), scene.shown + 1 + width // 2), min(len(scene.past), width))
    part = list(scene.past[max(0, end - width) : end])
    marked = scene.shown - max(0, end - width) if scene.is_frozen else -1
    levels = screen.glyphs.levels
    full = height * len(levels)
    steps = [max(0, min(full, ceil((value or 0.0) / 100 * full))) for value in part]
    styles = ["marked" if index == marked else _heat(value) for index, value in enumerate(part)]
    runs: list[tuple[str, int, int]] = []
    for style, group in groupby(range(len(part)), styles.__getitem__):
        indexes = list(group)
        runs.append((style, indexes[0], indexes[-1] + 1))
    margin: Line = [("dim", " " * _CPU_LABEL_CELLS), ("", " " * (width - len(part)))]
    lines = []
    for row in range(height):
        below = (height - 1 - row) * len(levels)
        glyphs = " " * (below + 1) + levels + levels[-1] * (full - below - len(levels))
        text = "".join([glyphs[step] for step in steps])
        label = "100%" if row == 0 else "0%" if row == height - 1 else ""
        spans = [(style, text[begin:end]) for style, begin, end in runs]
        lines.append(fitted([*margin, *spans, ("dim", label.rjust(8))], screen.columns))
    return lines


def _bar(parts: Sequence[tuple[str, float]], whole: float, width: int, screen: Screen) -> Line:
    """Segments in proportion; each ends where the sum so far ends, so that rounding does not add up."""
    line: Line = []
    total, at = 0.0, 0
    for style, value in parts:
        total += value
        end = min(width, round(total / whole * width))
        if end > at:
            line.append((style, screen.glyphs.filled * (end - at)))
            at = end
    return [*line, ("rail", screen.glyphs.empty * (width - at))] if at < width else line


def _level(value: float | None, screen: Screen) -> str:
    levels = screen.glyphs.levels
    return "?" if value is None else levels[min(len(levels) - 1, int(value / 100 * len(levels)))]


def _heat(value: float | None) -> str:
    if value is None:
        return "dim"
    return "hot" if value >= 80 else "warm" if value >= 40 else "cool"

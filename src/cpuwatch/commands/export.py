"""``cpuwatch export``: writes a recording as Parquet, Arrow, CSV or lines of JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import get_args

from cpuwatch.commands.flags import parse_moment, typed
from cpuwatch.commands.progress import with_progress
from cpuwatch.commands.standard_streams import complain, output_encoding, write_output
from cpuwatch.encoding.flat_tables import FLAT_TABLES, TableName
from cpuwatch.errors import ExportError, SettingsError
from cpuwatch.human_time import ALLOWED_TIMES
from cpuwatch.model import Snapshot
from cpuwatch.recording.export import exported, new_file
from cpuwatch.recording.partitions import export_parquet
from cpuwatch.recording.reader import Recording, open_recording
from cpuwatch.text import printable, time_text

__all__ = ["add_export"]

_FORMATS = ("parquet", "arrow", "csv", "ndjson")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.set_defaults(run=_run)
    parser.add_argument("directory", metavar="DIR", help="the recording")
    what = parser.add_argument_group("rows")
    time = typed(parse_moment)
    what.add_argument(
        "--from",
        dest="start",
        type=time,
        metavar="TIME",
        help=f"export the ticks after this time, in local time unless it has an offset: {ALLOWED_TIMES} (default: all)",
    )
    what.add_argument(
        "--to", dest="end", type=time, metavar="TIME", help="export the ticks up to this time (default: all)"
    )
    what.add_argument("--all", action="store_true", help="also export the processes that were idle in a tick")
    what.add_argument(
        "--table",
        choices=tuple(FLAT_TABLES),
        metavar="TABLE",
        help=f"one of {', '.join(FLAT_TABLES)} (default: all as Parquet, processes in other formats)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format", required=True, choices=_FORMATS, metavar="FORMAT", help=f"one of {', '.join(_FORMATS)}"
    )
    output.add_argument(
        "--output",
        metavar="PATH",
        help="the file (default: -, the standard output); for Parquet the directory, which may have exports of other "
        "hosts",
    )
    output.add_argument("--force", action="store_true", help="replace files that exist")


def _run(options: argparse.Namespace) -> None:
    if options.start is not None and options.end is not None and options.start >= options.end:
        raise SettingsError(f"--from {time_text(options.start)} must be before --to {time_text(options.end)}")
    if options.format == "parquet" and options.output in {None, "-"}:
        raise SettingsError("--format parquet needs a directory: use --output DIRECTORY, or --format arrow")
    output = options.output or "-"
    to_terminal = output == "-" and sys.stdout is not None and sys.stdout.isatty()
    if options.format == "arrow" and to_terminal:
        raise SettingsError("--format arrow is binary and the standard output is a terminal: use --output FILE")
    recording = open_recording(options.directory)
    snapshots, begin, end = _snapshots(recording, options.start, options.end)
    if not to_terminal:
        snapshots = with_progress(snapshots, begin, end)
    if options.format == "parquet":
        tables: tuple[TableName, ...] = get_args(TableName) if options.table is None else (options.table,)
        export_parquet(snapshots, Path(output), tables, active_only=not options.all, overwrite=options.force)
    else:
        pieces = exported(snapshots, options.format, options.table or "processes", active_only=not options.all)
        _write(map(_shown, pieces) if to_terminal else pieces, output, overwrite=options.force)
    for part in recording.damage:
        complain(f"{part.path} is damaged from byte {part.begin} to {part.end}: the rest was exported")


def _shown(piece: bytes) -> bytes:
    """Text for a terminal, without the control characters that names may have."""
    encoding = output_encoding()
    lines = piece.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(printable(line, encoding) for line in lines).encode(encoding)


def _write(pieces: Iterable[bytes], output: str, *, overwrite: bool) -> None:
    if output == "-":
        for piece in pieces:
            write_output(piece)
        return
    with new_file(Path(output), overwrite=overwrite) as file:
        for piece in pieces:
            file.write(piece)


def _snapshots(
    recording: Recording, start: datetime | None, end: datetime | None
) -> tuple[Iterator[Snapshot], datetime, datetime]:
    """The snapshots in this range, and the times of the first and last one. Raises ExportError if there are none."""
    from_text = "" if start is None else f" after {time_text(start)}"
    to_text = "" if end is None else f" until {time_text(end)}"
    snapshots = recording.between(start, end)
    first = next(snapshots, None)
    if first is None:
        raise ExportError(f"{str(recording.segments.directory)!r} has no snapshots{from_text}{to_text}")
    latest = recording.latest
    last_time = first.time if latest is None else latest.time
    return chain([first], snapshots), first.time, last_time if end is None else min(end, last_time)

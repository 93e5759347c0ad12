"""``cpuwatch report``: prints what used the CPU in a range of a recording."""

from __future__ import annotations

import argparse
import shutil
from datetime import UTC, datetime
from pathlib import Path

from cpuwatch.commands.flags import parse_moment, typed
from cpuwatch.commands.recorded_extent import extent_text
from cpuwatch.commands.standard_streams import output_encoding, write_output
from cpuwatch.encoding.summary import encode_summary, summary_table
from cpuwatch.errors import NotFoundError
from cpuwatch.human_time import ALLOWED_TIMES
from cpuwatch.query.parameters import VIEW
from cpuwatch.query.summary import SUMMARY_GROUPS
from cpuwatch.recording.reader import open_recording
from cpuwatch.recording.summary import summarize

__all__ = ["add_report"]

_ROWS = 20


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    parser.add_argument("directory", type=Path, metavar="DIR", help="directory of the recording")
    time = typed(parse_moment)
    parser.add_argument(
        "--from",
        dest="start",
        type=time,
        required=True,
        metavar="TIME",
        help=f"the beginning, in local time unless it has an offset, such as {ALLOWED_TIMES}",
    )
    parser.add_argument("--to", dest="end", type=time, metavar="TIME", help="the end, like --from (default: now)")
    parser.add_argument("--group-by", choices=SUMMARY_GROUPS, metavar="KEY", help=f"one of {', '.join(SUMMARY_GROUPS)}")
    count = parser.add_mutually_exclusive_group()
    count.add_argument(
        "-n",
        "--top",
        type=typed(VIEW["top"].parse),
        metavar="ROWS",
        help=f"show at most this many rows, the largest first (default: {_ROWS} in a table, all in JSON)",
    )
    count.add_argument("--all", action="store_true", help="show all rows")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        metavar="FORMAT",
        help="one of text, json (default: text, a table as wide as the terminal)",
    )
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="same as --format json")


def _run(options: argparse.Namespace) -> None:
    is_table = options.format == "text"
    top = _ROWS if options.top is None and is_table and not options.all else options.top
    recording = open_recording(options.directory)
    end = datetime.now(UTC) if options.end is None else options.end
    summary = summarize(recording, options.start, end, options.group_by, top)
    if not summary.ticks:
        raise NotFoundError(f"nothing was recorded in this range; {extent_text(recording)}")
    if is_table:
        encoding = output_encoding()
        width = shutil.get_terminal_size((0, 0)).columns or None
        write_output(summary_table(summary, encoding=encoding, width=width).encode(encoding))
    else:
        write_output(encode_summary(summary) + b"\n")

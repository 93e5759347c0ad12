"""``cpuwatch replay``: prints the snapshots of a recording, or serves it in place of this machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from cpuwatch.commands.flags import parse_moment, settings_from, typed
from cpuwatch.commands.listening_flags import add_listening_flags, listening_from
from cpuwatch.commands.recorded_extent import extent_text
from cpuwatch.commands.standard_streams import complain, write_output
from cpuwatch.commands.view_flags import add_view_flags, given_view, write_snapshot
from cpuwatch.encoding.summary import local_text
from cpuwatch.errors import NotFoundError, SettingsError
from cpuwatch.human_time import ALLOWED_TIMES
from cpuwatch.model import Snapshot
from cpuwatch.recording.reader import Recording, open_recording
from cpuwatch.server.run import serve

__all__ = ["add_replay"]

_SERVE_FIELDS = (
    *("token", "allowed_hosts", "cors_origins", "log_format", "access_log", "page", "streams", "proxies"),
    "interval",
)


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    parser.add_argument("directory", type=Path, metavar="DIR", help="directory of the recording")
    moment = parser.add_argument_group("moment")
    time = typed(parse_moment)
    moment.add_argument(
        "--at",
        type=time,
        metavar="TIME",
        help=f"show the snapshot of this time, in local time unless it has an offset: {ALLOWED_TIMES}",
    )
    moment.add_argument("--from", dest="start", type=time, metavar="TIME", help="show all snapshots after this time")
    moment.add_argument("--to", dest="end", type=time, metavar="TIME", help="show none after this time")
    moment.add_argument("--serve", action="store_true", help="serve the page and the API over the recording")
    add_view_flags(parser)
    add_listening_flags(parser)


def _run(options: argparse.Namespace) -> None:
    is_range = options.start is not None or options.end is not None
    if (options.at is not None) + is_range + options.serve != 1:
        raise SettingsError("one of --at, --from and --to, or --serve is needed: what to show of the recording")
    recording = open_recording(options.directory)
    if options.serve:
        settings = settings_from(options, _SERVE_FIELDS)
        serve(settings, listening_from(options, settings), recording)
        return
    given = given_view(options)
    count = 0
    for count, snapshot in enumerate(_chosen(recording, options), start=1):
        if options.format == "text":
            separator = "\n" if count > 1 else ""
            write_output(f"{separator}{local_text(snapshot.time)}\n".encode())
        write_snapshot(snapshot, given, options)
    for part in recording.damage:
        complain(f"{part.path} is damaged from byte {part.begin} to {part.end}; what is intact is shown")
    if not count:
        raise NotFoundError(f"nothing was recorded {_when(options)}; {extent_text(recording)}")


def _chosen(recording: Recording, options: argparse.Namespace) -> Iterator[Snapshot]:
    if options.at is None:
        return recording.between(options.start, options.end)
    found = recording.at(options.at)
    return iter(() if found is None else (found,))


def _when(options: argparse.Namespace) -> str:
    if options.at is not None:
        return f"at or before {local_text(options.at)}"
    after = "" if options.start is None else f"after {local_text(options.start)}"
    until = "" if options.end is None else f"until {local_text(options.end)}"
    return f"{after} {until}".strip()

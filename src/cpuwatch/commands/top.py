"""``cpuwatch top``: the live view of this machine, of a recording or of another machine; with --batch, tables."""

from __future__ import annotations

import argparse
import getpass
import locale
import os
import sys
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from cpuwatch.commands.flags import add_sampling_flags, parse_count, settings_from, typed
from cpuwatch.commands.view_flags import add_view_flags, given_view, write_snapshots
from cpuwatch.errors import MissingExtraError, OutputError, SettingsError
from cpuwatch.fields import FIELDS
from cpuwatch.monitor import Monitor
from cpuwatch.one_shot import samples
from cpuwatch.recording.reader import open_recording
from cpuwatch.samplers import open_sampler
from cpuwatch.settings import Settings, parse_interval
from cpuwatch.terminal.model.columns import COLUMNS
from cpuwatch.terminal.model.state import ViewName, ViewState
from cpuwatch.terminal.palette import Theme
from cpuwatch.terminal.sources import LiveSource, RecordedSource, Source
from cpuwatch.token_file import Token, parse_token, read_token_file

__all__ = ["add_top"]

_COLORS = {"1": 1, "16": 16, "256": 256, "true": 2**24}
_OF_LIVE_VIEW = {"sort", "order", "group_by", "fields", "kernel_threads"}
_VIEW_NAMES: dict[str | None, ViewName] = {None: "", "tree": "tree", "name": "name", "user": "user", "cgroup": "unit"}


def add_top(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="directory of a recording, or URL of another cpuwatch such as https://host:8845 (default: this machine)",
    )
    parser.add_argument(
        "--token-file",
        dest="token",
        type=typed(read_token_file),
        metavar="FILE",
        help="token for the URL (default: asked for if the server requires one)",
    )
    batch = parser.add_argument_group("batch")
    batch.add_argument("-b", "--batch", action="store_true", help="print tables instead of the live view, for pipes")
    batch.add_argument(
        "-n", "--count", type=typed(parse_count), metavar="NUMBER", help="end after this many tables (default: no end)"
    )
    parser.add_argument(
        "-d", "--delay", type=typed(parse_interval), metavar="SECONDS", help="the same as --interval, as in top(1)"
    )
    appearance = parser.add_argument_group("appearance")
    appearance.add_argument(
        "--theme",
        choices=get_args(Theme),
        default="dark",
        help="colours for a dark or a light background (default: dark)",
    )
    appearance.add_argument(
        "--colors",
        choices=tuple(_COLORS),
        metavar="NUMBER",
        help=f"one of {', '.join(_COLORS)} (default: what the terminal has; NO_COLOR is respected)",
    )
    appearance.add_argument("--ascii", action="store_true", help="draw bars and graphs with ASCII characters")
    add_view_flags(parser, top_flags=("--top",))
    add_sampling_flags(parser)


def _run(options: argparse.Namespace) -> None:
    settings = _settings(options)
    given = given_view(options)
    if options.batch:
        if options.source is not None:
            instead = "request /cpu_usage?format=text" if "://" in options.source else "use cpuwatch replay"
            raise SettingsError(f"--batch samples this machine: leave out {options.source!r}, or {instead}")
        taken = samples(settings.interval, settings.backend, command_lines=settings.command_lines)
        write_snapshots(islice(taken, options.count), given, options)
        return
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()):
        raise OutputError("top needs a terminal: use --batch to print tables")
    if os.environ.get("TERM") == "dumb":
        raise OutputError(
            "top needs a terminal that can move the cursor, and TERM is 'dumb': use --batch to print tables"
        )
    state = _state(options, given)
    with _source(options, settings) as source:
        try:
            # Imported in the first interval.
            from cpuwatch.terminal.app import run  # noqa: PLC0415
            from cpuwatch.terminal.screen import TerminalScreen  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name != "urwid":
                raise
            raise MissingExtraError("top needs the extra 'top': install cpuwatch with [top]") from None
        encoding = "ascii" if options.ascii else locale.getencoding()
        colors = None if options.colors is None else _COLORS[options.colors]
        run(source, TerminalScreen(encoding, options.theme, colors), state)


def _settings(options: argparse.Namespace) -> Settings:
    if options.delay is not None and options.interval is not None:
        raise SettingsError("--delay conflicts with --interval: both set the time between two readings")
    options.interval = options.interval if options.delay is None else options.delay
    return settings_from(options, ("interval", "backend", "command_lines"))


def _state(options: argparse.Namespace, given: dict[str, Any]) -> ViewState:
    """The view with which to begin. Raises :class:`~cpuwatch.errors.SettingsError` for flags of batches."""
    named = [name for name in given if name not in _OF_LIVE_VIEW]
    if options.all:
        named.append("all")
    if options.format != "text":
        named.append("format")
    if options.count is not None:
        raise SettingsError("--count needs --batch: the live view has no end")
    if named:
        raise SettingsError(f"--{named[0].replace('_', '-')} needs --batch: the live view has the filter (key /)")
    sort = given.get("sort", "total_percent")
    order = given.get("order")
    fields = given.get("fields")
    return ViewState(
        sort=sort,
        descending=FIELDS[sort].descends if order is None else order == "desc",
        view=_VIEW_NAMES[given.get("group_by")],
        columns=None if fields is None else tuple(name for name in COLUMNS if name in fields or name == "name"),
        kernel_threads=given.get("kernel_threads", True),
    )


def _source(options: argparse.Namespace, settings: Settings) -> Source:
    if options.source is None:
        sampler = open_sampler(settings.backend, command_lines=settings.command_lines)
        return LiveSource(Monitor(settings.interval, sampler=sampler))
    if "://" in options.source:
        # The client takes long to import.
        from cpuwatch.terminal.remote import RemoteSource, parse_url  # noqa: PLC0415

        remote = RemoteSource(parse_url(options.source), options.token)
        return remote if not remote.is_refused() else RemoteSource(parse_url(options.source), _asked_token())
    return RecordedSource(open_recording(Path(options.source)))


def _asked_token() -> Token:
    try:
        return parse_token(getpass.getpass("Token: ").strip())
    except ValueError as error:
        raise SettingsError(str(error)) from None

"""``cpuwatch sample``: samples once or several times, and prints each snapshot as a table or as JSON."""

from __future__ import annotations

import argparse
import os
import pwd
from itertools import islice

from cpuwatch.commands.flags import add_sampling_flags, parse_count, settings_from, typed
from cpuwatch.commands.standard_streams import complain
from cpuwatch.commands.thread_sample import sample_threads
from cpuwatch.commands.view_flags import add_view_flags, given_view, write_snapshot, write_snapshots
from cpuwatch.environment import warnings_about
from cpuwatch.errors import NotFoundError, SettingsError
from cpuwatch.model import Snapshot
from cpuwatch.one_shot import sample, samples
from cpuwatch.query.parameters import PID, view_from
from cpuwatch.query.select import Query
from cpuwatch.settings import parse_interval

__all__ = ["add_sample"]

_SAMPLING_FIELDS = ("interval", "backend", "command_lines")


def add_sample(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    repetition = parser.add_argument_group("repetition")
    repetition.add_argument(
        "--count",
        type=typed(parse_count),
        metavar="NUMBER",
        help="take this many samples, one after the other (default: 1, or without an end with --every)",
    )
    repetition.add_argument(
        "--every",
        type=typed(parse_interval),
        metavar="SECONDS",
        help="time from one sample to the next; each covers all of it (default: --interval)",
    )
    parser.add_argument(
        "--threads",
        type=typed(PID["pid"].parse),
        metavar="PID",
        help="show the threads of this process in place of processes: what each uses, and how long it waits for a CPU",
    )
    add_view_flags(parser)
    add_sampling_flags(parser)


def _run(options: argparse.Namespace) -> None:
    settings = settings_from(options, _SAMPLING_FIELDS)
    if options.every is not None and options.interval is not None:
        raise SettingsError("--every conflicts with --interval: both set the time from one sample to the next")
    given = given_view(options)  # reports an invalid query before the sample, not after it
    for warning in warnings_about(os.environ):
        complain(warning)
    if options.threads is not None:
        sample_threads(options, given, settings)
        return
    if options.count is not None or options.every is not None:
        interval = settings.interval if options.every is None else options.every
        taken = samples(interval, settings.backend, command_lines=settings.command_lines)
        write_snapshots(islice(taken, options.count), given, options)
        return
    snapshot = sample(settings.interval, settings.backend, command_lines=settings.command_lines)
    write_snapshot(snapshot, given, options)
    if missing := _missing(snapshot, view_from(given).query):
        raise NotFoundError("; ".join(missing))


def _missing(snapshot: Snapshot, query: Query) -> list[str]:
    """A clause for each process or user that a filter names and that does not exist."""
    pids = {row.pid for row in snapshot.processes} | {row.parent_pid for row in snapshot.exited}
    users = {row.user for row in snapshot.processes} | {row.user for row in snapshot.exited}
    return [
        *(f"no process with PID {pid}" for pid in sorted(query.pids - pids)),
        *(f"no user {user!r}" for user in sorted(query.users - users) if not _has_account(user)),
    ]


def _has_account(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True

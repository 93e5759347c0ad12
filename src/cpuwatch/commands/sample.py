"""``cpuwatch sample``: samples once, and prints the snapshot as a table or as JSON."""

from __future__ import annotations

import argparse
import os
import pwd

from cpuwatch.commands.flags import add_sampling_flags, settings_from
from cpuwatch.commands.standard_streams import complain
from cpuwatch.commands.view_flags import add_view_flags, given_view, write_snapshot
from cpuwatch.environment import warnings_about
from cpuwatch.errors import NotFoundError
from cpuwatch.model import Snapshot
from cpuwatch.one_shot import sample
from cpuwatch.query.parameters import view_from
from cpuwatch.query.select import Query

__all__ = ["add_sample"]

_SAMPLING_FIELDS = ("interval", "backend", "command_lines")


def add_sample(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    add_view_flags(parser)
    add_sampling_flags(parser)


def _run(options: argparse.Namespace) -> None:
    settings = settings_from(options, _SAMPLING_FIELDS)
    given = given_view(options)  # reports an invalid query before the sample, not after it
    for warning in warnings_about(os.environ):
        complain(warning)
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

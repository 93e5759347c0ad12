"""``cpuwatch run``: runs a command, and prints what it and all its descendants used."""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import msgspec

from cpuwatch.commands.standard_streams import complain, discard_errors
from cpuwatch.errors import SettingsError
from cpuwatch.measuring.command import GROUPS, CommandUsed, run_command
from cpuwatch.measuring.used import graph, group_rows, seconds
from cpuwatch.text import printable, text_from_locale

__all__ = ["add_run", "report"]

_TITLES = {"name": "PROGRAM", "user": "USER", "cgroup": "CGROUP"}
_NOTED_SHARE_PERCENT = 1.0
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.set_defaults(run=_run)
    parser.usage = "%(prog)s [options] [--] COMMAND [ARGUMENT...]"
    # As time(1) and the shell have it. Rejected: to die of the same signal, which would dump a second core.
    parser.epilog = (
        "The exit code is that of the command: 128 + N if signal N ended it, 127 if it was not found, "
        "126 if it could not be executed."
    )
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    parser.add_argument("--output", metavar="FILE", help="write the report to this file (default: the standard error)")
    parser.add_argument(
        "--group-by",
        choices=tuple(GROUPS),
        default="name",
        metavar="KEY",
        help=f"add up by one of {', '.join(GROUPS)} (default: name, which is the program)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")


def _run(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise SettingsError("no command given: use cpuwatch run -- COMMAND [ARGUMENT...]")
    # Opened before the command runs, so that an invalid path costs no report.
    with nullcontext() if options.output is None else Path(options.output).open("wb") as output:
        used = run_command(command, options.group_by)
        if isinstance(used, OSError):
            complain(f"cannot run {text_from_locale(command[0])!r}: {used.strerror}")
            return _NOT_FOUND if isinstance(used, FileNotFoundError) else _NOT_EXECUTABLE
        if output is not None:
            output.write(_json(used) if options.json else report(used).encode())
        else:
            _write_to_stderr(used, as_json=options.json)
    return used.exit_code


def _write_to_stderr(used: CommandUsed, *, as_json: bool) -> None:
    if sys.stderr is None:
        return
    encoding, width = sys.stderr.encoding, shutil.get_terminal_size((0, 0)).columns or None
    data = _json(used) if as_json else report(used, encoding=encoding, width=width).encode(encoding)
    try:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()
    except OSError:
        # The exit code is that of the command, even if nobody can read the report.
        discard_errors()


def _json(used: CommandUsed) -> bytes:
    shown = msgspec.structs.replace(used, command=[text_from_locale(word) for word in used.command])
    return msgspec.json.encode(shown) + b"\n"


def report(used: CommandUsed, *, encoding: str = "utf-8", width: int | None = None) -> str:
    """The report as text."""
    lines = [
        f"{seconds(used.cpu_seconds)} s of CPU in {seconds(used.elapsed_seconds)} s: "
        f"user {seconds(used.user_seconds)}  system {seconds(used.system_seconds)}  "
        f"CPUs {used.mean_cpus:.2f} mean, {used.peak_cpus:.2f} peak",
        f"own {seconds(used.own_seconds)}  exited descendants {seconds(used.exited_seconds)}  "
        f"still running {seconds(used.alive_seconds)}",
    ]
    if used.unwaited_seconds > 0.01 * used.cpu_seconds:
        kind = "at least " if used.estimated else ""
        lines.append(f"{kind}{seconds(used.unwaited_seconds)} s of it by processes that nobody waited for")
    if used.cpus:
        lines.append(f"{graph(used.cpus, max(used.cpus), encoding)}  0 to {max(used.cpus):.2f} CPUs")
    lines = [printable(line, encoding) for line in lines]
    rows = group_rows(used.groups, _TITLES[used.group_by], encoding=encoding, width=width)
    return "\n".join([*lines, "", *rows, *_unnamed_note(used, encoding), ""])


def _unnamed_note(used: CommandUsed, encoding: str) -> list[str]:
    if not any(group.group is None and (group.share_percent or 0) >= _NOTED_SHARE_PERCENT for group in used.groups):
        return []
    text = f"unnamed: processes that exited before a reading saw all of them (exit reports: {used.exited_names})"
    return ["", printable(text, encoding)]

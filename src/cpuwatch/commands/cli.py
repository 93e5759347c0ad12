"""The command ``cpuwatch``: its parser, its errors and its exit codes."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from cpuwatch.commands.sample import add_sample
from cpuwatch.commands.serve import add_serve
from cpuwatch.commands.standard_streams import complain, discard_output, flush_output
from cpuwatch.errors import CpuwatchError, OutputError, QueryError, SettingsError, UnknownSamplerError

__all__ = ["main", "parser"]

_FAILED = 1
_BAD_USAGE = 2
_INTERRUPTED = 128 + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """An argparse parser that reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)", self.prog)
        self.exit(_BAD_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failure, 2 for invalid flags or values, 130 on Ctrl-C.

    An exception that cpuwatch does not raise on purpose is a defect: it passes through, with its traceback.
    """
    try:
        try:
            options = parser().parse_args(arguments)
            options.run(options)
        finally:
            flush_output()
    except BrokenPipeError:
        # The reader has read enough (`| head`). A shell with pipefail must not take that for a failure.
        discard_output()
    except OutputError as error:
        discard_output()
        complain(str(error))
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (SettingsError, QueryError, UnknownSamplerError) as error:
        complain(str(error))
        return _BAD_USAGE
    except CpuwatchError as error:
        complain(str(error))
        return _FAILED
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        complain(f"{error.strerror or error}{named}")
        return _FAILED
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line, from which the completion scripts and the man page are made, too."""
    top = _Parser(
        prog="cpuwatch",
        description="Show which processes use the CPU, including those that lived for less than a second.",
        allow_abbrev=False,
    )
    top.add_argument("-V", "--version", action="version", version=f"cpuwatch {version('cpuwatch')}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, add, summary in (
        ("serve", add_serve, "serve the live page, GET /cpu_usage and /metrics over HTTP"),
        ("sample", add_sample, "sample once and print the result"),
    ):
        add(
            commands.add_parser(
                name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
            )
        )
    return top

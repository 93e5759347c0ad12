"""The command ``cpuwatch``: its parser, its errors and its exit codes."""

from __future__ import annotations

import argparse
import re
import signal
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

from cpuwatch.commands.standard_streams import complain, discard_output, flush_output, write_output
from cpuwatch.errors import CpuwatchError, OutputError, QueryError, SettingsError, UnknownSamplerError
from cpuwatch.text import shortened

__all__ = ["main", "parser"]

_COMMANDS = {
    "top": "show processes live, on this machine or in a recording",
    "serve": "serve the live page, GET /cpu_usage and /metrics over HTTP",
    "sample": "sample once and print the result",
    "run": "run a command and print the CPU time that it and all its descendants used",
    "record": "record every second in a directory",
    "push": "push what uses the CPU to OpenTelemetry or Prometheus receivers",
    "replay": "show what was recorded at a time, or serve a recording",
    "report": "print what used the CPU in a range of a recording",
    "export": "write a recording as Parquet, Arrow, CSV or lines of JSON",
    "ship": "export closed blocks of a recording to a directory or to S3, once or as they come",
    "completion": "print the completion script of a shell",
}
"""Each has a module of its name with a function ``add_NAME``, which adds its arguments to a parser."""

_FAILED = 1
_BAD_USAGE = 2
_INTERRUPTED = 128 + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """An argparse parser that reports an error in one line, with the nearest valid flag."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Times such as -15m are values, as negative numbers are. argparse has no public setting for that.
        self._negative_number_matcher = re.compile(r"-[0-9]")

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        options, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            nearest = get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            suggestion = f": did you mean {nearest[0]}?" if nearest else ""
            self.error(f"unknown argument {shortened(unknown[0])!r}{suggestion}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)", self.prog)
        self.exit(_BAD_USAGE)


class _Command(_Parser):
    """The parser of a command, which imports the module of the command when it is used.

    Importing the modules of all commands takes a third of the time that ``cpuwatch top`` needs to start.
    """

    def __init__(self, *, command: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._command: str | None = command

    def complete(self) -> None:
        """Add the arguments of the command."""
        if self._command is not None:
            name, self._command = self._command, None
            getattr(import_module(f"cpuwatch.commands.{name}"), f"add_{name}")(self)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        self.complete()
        return super().parse_known_args(*args, **kwargs)


class _Version(argparse.Action):
    """Prints the installed version. There is none while a build makes the man page."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        # It takes longer to import than all modules of the core.
        from importlib.metadata import version  # noqa: PLC0415

        write_output(f"cpuwatch {version('cpuwatch')}\n".encode())
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a failure, 2 for invalid flags or values, 130 on Ctrl-C.

    ``cpuwatch run`` returns the exit code of its command.
    An exception that cpuwatch does not raise on purpose is a defect: it passes through, with its traceback.
    """
    exit_code: int | None = None
    try:
        try:
            options = _parser().parse_args(arguments)
            exit_code = options.run(options)
        finally:
            flush_output()
    except BrokenPipeError:
        # The reader has read enough (`| head`). A shell with pipefail must not treat that as a failure.
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
    return exit_code or 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line, from which the completion scripts and the man page are made."""
    whole = _parser()
    for action in whole._actions:  # noqa: SLF001  argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                command.complete()
    return whole


def _parser() -> _Parser:
    """The parser, whose commands complete themselves."""
    top = _Parser(
        prog="cpuwatch",
        description="Show which processes use the CPU, including those that lived for less than a second.",
        allow_abbrev=False,
    )
    top.add_argument("-V", "--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Command)
    for name, summary in _COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        commands.add_parser(name, command=name, help=summary, description=description, allow_abbrev=False)
    return top

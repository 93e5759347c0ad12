"""The command line: ``cpuwatch serve``, ``cpuwatch sample``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NoReturn

from msgspec.structs import replace

from cpuwatch.encoding.json import encode
from cpuwatch.encoding.table import printable, table
from cpuwatch.errors import CpuwatchError
from cpuwatch.one_shot import sample
from cpuwatch.query import top
from cpuwatch.server import parse_bind, serve
from cpuwatch.settings import Settings, parse_history, parse_interval, parse_whole_number

__all__ = ["main"]

_BAD_USAGE = 2
_FAILED = 1
_ROWS_IN_A_TABLE = 20
_MOST_ROWS = 2**22


class _Parser(argparse.ArgumentParser):
    """An argparse parser that answers a mistake with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_USAGE, f"{self.prog}: {printable(message)} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 if it failed, 2 for wrong flags or values."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
    except BrokenPipeError:
        # The reader of the pipe has seen enough (`| head`). What is still buffered must not be flushed into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except (ValueError, CpuwatchError) as error:
        print(f"cpuwatch: {printable(str(error))}", file=sys.stderr)
        return _BAD_USAGE if isinstance(error, ValueError) else _FAILED
    except OSError as error:
        print(f"cpuwatch: {error.strerror or error}", file=sys.stderr)
        return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cpuwatch",
        description="What burns the CPU on this machine: each process, each second.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cpuwatch {version('cpuwatch')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serving = commands.add_parser("serve", help="serve GET /cpu_usage over HTTP", allow_abbrev=False)
    serving.add_argument(
        "--bind",
        type=_typed(parse_bind),
        default="127.0.0.1:8845",
        metavar="HOST:PORT",
        help="where to listen: HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N (default: %(default)s)",
    )
    _add_sampling(serving)
    serving.add_argument(
        "--history",
        type=_typed(parse_history),
        metavar="TICKS",
        help="snapshots to keep (default: CPUWATCH_HISTORY, or 600)",
    )
    serving.set_defaults(run=_serve)

    sampling = commands.add_parser("sample", help="sample once and print it", allow_abbrev=False)
    _add_sampling(sampling)
    sampling.add_argument("--json", action="store_true", help="print the snapshot as JSON")
    sampling.add_argument(
        "--top",
        type=_typed(_parse_top),
        metavar="N",
        help=f"only the N busiest (default: {_ROWS_IN_A_TABLE} in a table, all in JSON)",
    )
    sampling.set_defaults(run=_sample)
    return parser


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        type=_typed(parse_interval),
        metavar="SECONDS",
        help="time between two readings (default: CPUWATCH_INTERVAL, or 1)",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="auto, procfs, psutil or the name of an installed one (default: CPUWATCH_BACKEND, or auto)",
    )


def _typed(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The parser for argparse, which keeps the message of this exception only."""

    def typed(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _parse_top(text: str) -> int:
    return parse_whole_number(text, 1, _MOST_ROWS, "processes")


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of the environment, with those flags over them that were given."""
    flags = {name: value for name in Settings.__struct_fields__ if (value := getattr(options, name, None)) is not None}
    return replace(Settings.from_environment(os.environ), **flags)


def _serve(options: argparse.Namespace) -> None:
    try:
        serve(_settings(options), options.bind)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {options.bind}: {error.strerror}") from error


def _sample(options: argparse.Namespace) -> None:
    settings = _settings(options)
    snapshot = sample(settings.interval, settings.backend)
    if options.json:
        chosen = snapshot if options.top is None else top(snapshot, options.top)
        sys.stdout.write(encode(chosen).decode() + "\n")
    else:
        sys.stdout.write(table(top(snapshot, options.top or _ROWS_IN_A_TABLE)))
    sys.stdout.flush()

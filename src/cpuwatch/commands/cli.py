"""The command line: ``cpuwatch serve``, ``cpuwatch sample``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version
from typing import NoReturn

from msgspec.structs import replace

from cpuwatch.commands.standard_streams import complain, discard_output, flush_output, output_encoding, write_output
from cpuwatch.encoding.formats import FORMATS
from cpuwatch.encoding.table import table
from cpuwatch.environment import check_token_is_in_use, warnings_about
from cpuwatch.errors import CpuwatchError, OutputError, QueryError, SettingsError, UnknownSamplerError
from cpuwatch.log import logging_to_stderr
from cpuwatch.model import Snapshot
from cpuwatch.one_shot import sample
from cpuwatch.query.parameters import FORMAT, VIEW, Parameter, view_from
from cpuwatch.query.view import GroupedSnapshot, View, apply_view
from cpuwatch.server.run import Listening, is_local, parse_bind, parse_root_path, serve
from cpuwatch.settings import (
    Settings,
    parse_allowed_hosts,
    parse_cors_origins,
    parse_history,
    parse_history_bytes,
    parse_interval,
    parse_log_format,
    parse_proxies,
    parse_streams,
)
from cpuwatch.text import text_from_locale
from cpuwatch.token_file import read_token_file

__all__ = ["main"]

_BAD_USAGE = 2
_FAILED = 1
_INTERRUPTED = 128 + signal.SIGINT
_ROWS_IN_A_TABLE = 20
_SAMPLING_FIELDS = ("interval", "backend", "command_lines")

_log = logging.getLogger("cpuwatch.cli")


class _Parser(argparse.ArgumentParser):
    """An argparse parser that answers a mistake with one line."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)", self.prog)
        self.exit(_BAD_USAGE)


class _Once(argparse.Action):
    """A flag that argparse must not take from its last use alone: hypercorn's ``--bind`` may be given many times."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not self.default:
            parser.error(f"{option_string} can be given only once (:PORT listens on all addresses)")
        setattr(namespace, self.dest, values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 if it failed, 2 for wrong flags or values, 130 on Ctrl-C.

    Errors that cpuwatch does not raise on purpose are defects and pass through, with their traceback.
    """
    try:
        try:
            options = _parser().parse_args(arguments)
            options.run(options)
        finally:
            flush_output()
    except BrokenPipeError:
        # The reader has seen enough (`| head`): for a shell with pipefail that is no failure.
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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cpuwatch",
        description="What burns the CPU on this machine: each process, each second.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cpuwatch {version('cpuwatch')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    _add_serve(commands.add_parser("serve", help="serve GET /cpu_usage over HTTP", allow_abbrev=False))
    _add_sample(commands.add_parser("sample", help="sample once and print it", allow_abbrev=False))
    return parser


def _add_serve(serving: argparse.ArgumentParser) -> None:
    serving.set_defaults(run=_serve)
    serving.add_argument(
        "--bind",
        action=_Once,
        type=_typed(parse_bind),
        default=Listening().bind,
        metavar="HOST:PORT",
        help="where to listen: HOST:PORT, [IPV6]:PORT, :PORT (any address), unix:PATH or fd://N (default: %(default)s)",
    )
    _add_sampling(serving)
    serving.add_argument(
        "--history",
        type=_typed(parse_history),
        metavar="TICKS",
        help="snapshots to keep (default: CPUWATCH_HISTORY, or 600)",
    )
    serving.add_argument(
        "--history-bytes",
        type=_typed(parse_history_bytes),
        metavar="BYTES",
        help="memory for old snapshots; the oldest are dropped (default: CPUWATCH_HISTORY_BYTES, or 134217728)",
    )
    serving.add_argument(
        "--streams",
        type=_typed(parse_streams),
        metavar="NUMBER",
        help="streams of events that may be open at once (default: CPUWATCH_STREAMS, or 200)",
    )
    access = serving.add_argument_group("who may ask")
    access.add_argument(
        "--token-file",
        dest="token",
        type=_typed(read_token_file),
        metavar="FILE",
        help="let in only who shows the token in this file, as Authorization: Bearer (default: CPUWATCH_TOKEN_FILE)",
    )
    access.add_argument(
        "--open-to-everyone",
        action="store_true",
        help="where other machines can reach --bind, let them all read without a token",
    )
    access.add_argument(
        "--allowed-hosts",
        type=_typed(parse_allowed_hosts),
        metavar="NAMES",
        help="further names by which clients call this machine, with commas, or * for any",
    )
    access.add_argument(
        "--cors-origins",
        type=_typed(parse_cors_origins),
        metavar="ORIGINS",
        help="web pages that may read the answers, as https://example.org, with commas",
    )
    access.add_argument(
        "--proxies",
        type=_typed(parse_proxies),
        metavar="ADDRESSES",
        help="addresses and networks that stand for many clients, with commas (default: CPUWATCH_PROXIES, or none)",
    )
    access.add_argument("--certfile", metavar="FILE", help="speak TLS, with this certificate and its chain")
    access.add_argument("--keyfile", metavar="FILE", help="the key of the certificate")
    serving.add_argument(
        "--root-path",
        type=_typed(parse_root_path),
        default="",
        metavar="PATH",
        help="the prefix under which a proxy shows this, as /cpu",
    )
    serving.add_argument("--access-log", action="store_true", default=None, help="log each request")
    serving.add_argument(
        "--log-format",
        type=_typed(parse_log_format),
        metavar="FORMAT",
        help="text (key=value) or json (default: CPUWATCH_LOG_FORMAT, or text)",
    )


def _add_sample(sampling: argparse.ArgumentParser) -> None:
    sampling.set_defaults(run=_sample)
    _add_sampling(sampling)
    sampling.add_argument(
        "--format",
        type=_typed(FORMAT["format"].parse),
        metavar="FORMAT",
        help=f"one of {', '.join(FORMATS)} (default: text, a table)",
    )
    sampling.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    for parameter in VIEW.values():
        _add_parameter(sampling, parameter)


def _add_parameter(sampling: argparse.ArgumentParser, parameter: Parameter) -> None:
    name = parameter.name.replace("_", "-")
    if parameter.schema["type"] == "boolean":
        words = parameter.name.replace("_", " ")
        sampling.add_argument(
            f"--no-{name}", dest=parameter.name, action="store_const", const=False, help=f"without {words}"
        )
        return
    item = parameter.schema.get("items", parameter.schema)
    choices = f" One of {', '.join(item['enum'])}." if "enum" in item else ""
    sampling.add_argument(
        f"--{name}",
        type=_typed(lambda text: parameter.parse(_as_shown(text))),
        metavar=parameter.name.upper() + (",..." if parameter.schema["type"] == "array" else ""),
        help=parameter.description + choices,
    )


def _as_shown(text: str) -> str:
    """An argument as names are shown: bytes that the locale does not know are UTF-8, and if not, escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text_from_locale(text)
    return text


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
    parser.add_argument(
        "--command-lines",
        action="store_true",
        default=None,
        help="read command lines too, and show them with secrets masked (default: CPUWATCH_COMMAND_LINES, or not)",
    )


def _typed(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The parser for argparse, which keeps the message of this exception only."""

    def typed(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _settings(options: argparse.Namespace, fields: Collection[str]) -> Settings:
    """These fields from the environment, with those flags over them that were given."""
    flags = {name: value for name in fields if (value := getattr(options, name, None)) is not None}
    return replace(Settings.from_environment(os.environ, fields), **flags)


def _serve(options: argparse.Namespace) -> None:
    settings = _settings(options, Settings.__struct_fields__)
    listening = Listening(options.bind, options.root_path, options.certfile, options.keyfile)
    check_token_is_in_use(os.environ, settings)
    if options.open_to_everyone and settings.token is not None:
        raise SettingsError("--open-to-everyone and a token contradict each other")
    if not (is_local(options.bind) or settings.token is not None or options.open_to_everyone):
        raise SettingsError(
            f"other machines can reach {options.bind}: "
            "give a token with --token-file FILE, or say --open-to-everyone if all may read"
        )
    if warnings := warnings_about(os.environ):
        with logging_to_stderr(settings.log_format):
            for warning in warnings:
                _log.warning("%s", warning)
    serve(settings, listening)


def _sample(options: argparse.Namespace) -> None:
    settings, view = _settings(options, _SAMPLING_FIELDS), _view(options)
    for warning in warnings_about(os.environ):
        complain(warning)
    shown = apply_view(sample(settings.interval, settings.backend, command_lines=settings.command_lines), view)
    write_output(_encoded(shown, options.format or "text", view))


def _encoded(shown: Snapshot | GroupedSnapshot, name: str, view: View) -> bytes:
    """The output in this format; a table in the encoding of the output, JSON in UTF-8 always (RFC 8259, 8.1)."""
    if name == "text":
        encoding = output_encoding()
        return table(shown, view.fields, encoding=encoding).encode(encoding)
    output = FORMATS[name].encode(shown, view.fields)
    return output if output.endswith(b"\n") else output + b"\n"


def _view(options: argparse.Namespace) -> View:
    given = {name: value for name in VIEW if (value := getattr(options, name)) is not None}
    if options.format in {None, "text"}:
        given.setdefault("top", _ROWS_IN_A_TABLE)
    return view_from(given)

"""Flags of the commands that serve: where to listen, who may read, and the log."""

from __future__ import annotations

import argparse
import os

from cpuwatch.commands.flags import add_log_format_flag, typed
from cpuwatch.environment import check_token_is_in_use
from cpuwatch.errors import SettingsError
from cpuwatch.server.listening import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Listening,
    bind_to,
    is_local,
    parse_bind,
    parse_host,
    parse_port,
    parse_root_path,
)
from cpuwatch.settings import (
    Settings,
    parse_allowed_hosts,
    parse_cors_origins,
    parse_proxies,
    parse_streams,
)
from cpuwatch.token_file import read_token_file

__all__ = ["add_listening_flags", "listening_from"]

_DEFAULTS = Settings()


class _Once(argparse.Action):
    """A flag that may be given only once: Hypercorn's ``--bind`` may be repeated, and argparse would keep the last."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} can be given only once (:PORT listens on all addresses)")
        setattr(namespace, self.dest, values)


def add_listening_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags about the address, access and the log."""
    _add_address(parser.add_argument_group("address"))
    _add_access(parser.add_argument_group("access"))
    _add_log(parser.add_argument_group("log"))


def listening_from(options: argparse.Namespace, settings: Settings) -> Listening:
    """Where to listen.

    Raises :class:`~cpuwatch.errors.SettingsError` for flags that conflict, and if other machines could read without a
    token although nobody said so.
    """
    listening = Listening(_bind(options), options.root_path, options.certfile, options.keyfile)
    check_token_is_in_use(os.environ, settings)
    if options.open_to_everyone and settings.token is not None:
        raise SettingsError(
            "--open-to-everyone conflicts with a token: "
            "remove the flag, or unset CPUWATCH_TOKEN and CPUWATCH_TOKEN_FILE and leave out --token-file"
        )
    if not (is_local(listening.bind) or settings.token is not None or options.open_to_everyone):
        raise SettingsError(
            f"other machines can reach {listening.bind}: "
            "set a token with --token-file FILE, or let everyone read with --open-to-everyone"
        )
    return listening


def _add_address(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--host",
        type=typed(parse_host),
        metavar="HOST",
        help=f"name or IP address to listen on (default: {DEFAULT_HOST})",
    )
    group.add_argument(
        "--port",
        type=typed(parse_port),
        metavar="PORT",
        help=f"TCP port to listen on, from 0 to 65535; 0 lets the kernel choose (default: {DEFAULT_PORT})",
    )
    group.add_argument(
        "--bind",
        action=_Once,
        type=typed(parse_bind),
        metavar="ADDRESS",
        help="where to listen, in place of --host and --port: HOST:PORT, [IPV6]:PORT, :PORT (all addresses), "
        f"unix:PATH or fd://N (default: {Listening().bind})",
    )
    group.add_argument("--certfile", metavar="FILE", help="serve TLS with this certificate and its chain (PEM)")
    group.add_argument("--keyfile", metavar="FILE", help="private key of the certificate (PEM)")
    group.add_argument(
        "--root-path",
        type=typed(parse_root_path),
        default="",
        metavar="PATH",
        help="path prefix under which a reverse proxy serves this, such as /cpu (default: none)",
    )


def _add_access(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--token-file",
        dest="token",
        type=typed(read_token_file),
        metavar="FILE",
        help="require the token in this file, as Authorization: Bearer (default: CPUWATCH_TOKEN_FILE, or no token)",
    )
    group.add_argument(
        "--open-to-everyone",
        action="store_true",
        help="let other machines read without a token",
    )
    group.add_argument(
        "--allowed-hosts",
        type=typed(parse_allowed_hosts),
        metavar="NAME,...",
        help="more names by which clients may call this machine, or * for any name "
        "(default: CPUWATCH_ALLOWED_HOSTS, or none)",
    )
    group.add_argument(
        "--cors-origins",
        type=typed(parse_cors_origins),
        metavar="ORIGIN,...",
        help="origins of other web pages that may read the responses, such as https://example.org "
        "(default: CPUWATCH_CORS_ORIGINS, or none)",
    )
    group.add_argument(
        "--proxies",
        type=typed(parse_proxies),
        metavar="NETWORK,...",
        help="addresses or networks of proxies, which are exempt from the limits per client "
        "(default: CPUWATCH_PROXIES, or none)",
    )
    group.add_argument(
        "--streams",
        type=typed(parse_streams),
        metavar="NUMBER",
        help="event streams that may be open at once, from 0 to 10000 "
        f"(default: CPUWATCH_STREAMS, or {_DEFAULTS.streams})",
    )


def _add_log(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--access-log",
        action="store_true",
        default=None,
        help="log a line for each request (default: CPUWATCH_ACCESS_LOG, or off)",
    )
    add_log_format_flag(group)


def _bind(options: argparse.Namespace) -> str:
    if options.bind is None:
        return bind_to(
            DEFAULT_HOST if options.host is None else options.host,
            DEFAULT_PORT if options.port is None else options.port,
        )
    for flag in ("host", "port"):
        if getattr(options, flag) is not None:
            raise SettingsError(f"--{flag} conflicts with --bind: use either --bind ADDRESS, or --host and --port")
    bind: str = options.bind
    return bind

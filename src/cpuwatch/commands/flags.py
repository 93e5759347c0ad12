"""Flags that commands share, and how they become settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection

from msgspec.structs import replace

from cpuwatch.settings import Settings, parse_interval

__all__ = ["add_sampling_flags", "settings_from", "typed"]

_DEFAULTS = Settings()


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for sampling, which all commands that sample have."""
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--interval",
        type=typed(parse_interval),
        metavar="SECONDS",
        help="time between two readings, from 0.05 to 3600 seconds "
        f"(default: CPUWATCH_INTERVAL, or {_DEFAULTS.interval:g})",
    )
    group.add_argument(
        "--backend",
        metavar="NAME",
        help="how to read processes: auto, procfs, psutil or the name of an installed sampler "
        f"(default: CPUWATCH_BACKEND, or {_DEFAULTS.backend})",
    )
    group.add_argument(
        "--command-lines",
        action="store_true",
        default=None,
        help="read command lines and show them, with secrets masked (default: CPUWATCH_COMMAND_LINES, or off)",
    )


def typed(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The parser as a ``type=`` of argparse, which shows the message of this exception only."""

    def parse_argument(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument


def settings_from(options: argparse.Namespace, fields: Collection[str]) -> Settings:
    """These fields from the environment, overridden by the flags that were given."""
    flags = {name: value for name in fields if (value := getattr(options, name, None)) is not None}
    return replace(Settings.from_environment(os.environ, fields), **flags)

"""``cpuwatch serve``: serves the web app, by default only to this machine."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from cpuwatch.commands.flags import add_push_flags, add_retention_flags, add_sampling_flags, settings_from, typed
from cpuwatch.commands.listening_flags import add_listening_flags, listening_from
from cpuwatch.environment import warnings_about
from cpuwatch.log import logging_to_stderr
from cpuwatch.peers.peer_list import parse_peers
from cpuwatch.server.run import serve
from cpuwatch.settings import Settings, parse_history, parse_history_bytes, parse_metric_names
from cpuwatch.token_file import read_token_file

__all__ = ["add_serve"]

_DEFAULTS = Settings()

_log = logging.getLogger("cpuwatch.cli")


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    add_listening_flags(parser)
    add_sampling_flags(parser)
    _add_recording(parser.add_argument_group("recording"))
    add_push_flags(parser.add_argument_group("pushing"))
    _add_limits(parser.add_argument_group("limits"))
    _add_peers(parser.add_argument_group("other machines"))


def _add_recording(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="record every tick in this directory, which is created (default: CPUWATCH_RECORD, or no recording)",
    )
    add_retention_flags(group)


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--history",
        type=typed(parse_history),
        metavar="TICKS",
        help=f"snapshots to keep, from 1 to 86400 (default: CPUWATCH_HISTORY, or {_DEFAULTS.history})",
    )
    group.add_argument(
        "--history-bytes",
        type=typed(parse_history_bytes),
        metavar="BYTES",
        help="memory for old snapshots, from 1 MiB to 1 TiB; the oldest are dropped first "
        f"(default: CPUWATCH_HISTORY_BYTES, or {_DEFAULTS.history_bytes})",
    )
    group.add_argument(
        "--metric-names",
        type=typed(parse_metric_names),
        metavar="NUMBER",
        help="process names that have series in /metrics, from 1 to 500 "
        f"(default: CPUWATCH_METRIC_NAMES, or {_DEFAULTS.metric_names})",
    )


def _add_peers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--peers",
        type=typed(parse_peers),
        metavar="FILE|URL",
        help="show the machines of this list at /machines: a line for each, or JSON as for Prometheus's file_sd "
        "(default: CPUWATCH_PEERS, or none)",
    )
    group.add_argument(
        "--peers-token-file",
        dest="peers_token",
        type=typed(read_token_file),
        metavar="FILE",
        help="token for the machines that have no token file in the list (default: CPUWATCH_PEERS_TOKEN_FILE, or none)",
    )


def _run(options: argparse.Namespace) -> None:
    settings = settings_from(options, Settings.__struct_fields__)
    listening = listening_from(options, settings)
    if warnings := warnings_about(os.environ):
        with logging_to_stderr(settings.log_format):
            for warning in warnings:
                _log.warning("%s", warning)
    serve(settings, listening)

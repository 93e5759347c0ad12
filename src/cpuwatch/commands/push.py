"""``cpuwatch push``: pushes what uses the CPU to receivers of metrics, until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os

from cpuwatch.commands.flags import add_log_format_flag, add_push_flags, add_sampling_flags, settings_from
from cpuwatch.commands.until_signal import until_signal
from cpuwatch.environment import warnings_about
from cpuwatch.errors import SettingsError
from cpuwatch.monitor import Monitor
from cpuwatch.push.targets import open_pusher
from cpuwatch.samplers import open_sampler

__all__ = ["add_push"]

_FIELDS = (
    "interval",
    "backend",
    "log_format",
    "otlp_endpoint",
    "remote_write_url",
    "remote_write_token",
    "remote_write_headers",
    "push_interval",
    "push_top",
)

_log = logging.getLogger("cpuwatch.push")


def add_push(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    add_push_flags(parser.add_argument_group("pushing"))
    add_sampling_flags(parser)
    add_log_format_flag(parser.add_argument_group("log"))


def _run(options: argparse.Namespace) -> None:
    settings = settings_from(options, _FIELDS)
    pusher = open_pusher(settings, os.environ)
    if pusher is None:
        raise SettingsError("no receiver is named: use --otlp-endpoint URL or --remote-write-url URL")
    with (
        until_signal(_log, "the pusher", settings.log_format) as stop,
        open_sampler(settings.backend) as sampler,
    ):
        for warning in warnings_about(os.environ):
            _log.warning("%s", warning)
        monitor = Monitor(settings.interval, 1, sampler)
        with pusher:
            monitor.follow_ticks(pusher.take)
            with monitor:
                for health in pusher.health:
                    _log.info("pushing %s every %g s", health.target, settings.push_interval)
                stop.wait()
        for health in pusher.health:
            _log.info(
                "%s: sent %d intervals, dropped %d, rejected %d",
                health.target,
                health.sent,
                health.dropped,
                health.rejected,
            )

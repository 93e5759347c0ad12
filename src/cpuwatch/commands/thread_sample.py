"""``cpuwatch sample --threads``: samples the threads of one process once, and prints them."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from typing import Any

from cpuwatch.commands.standard_streams import output_encoding, write_output
from cpuwatch.encoding.threads import THREAD_ENCODERS, threads_table
from cpuwatch.errors import QueryError, SettingsError
from cpuwatch.one_shot import threads
from cpuwatch.query.threads import THREADS, select_threads
from cpuwatch.settings import Settings

__all__ = ["sample_threads"]

_TABLE_ROWS = 20
_FLAGS_OF_SAMPLE = ("count", "every", "command_lines")


def sample_threads(options: argparse.Namespace, given: Mapping[str, Any], settings: Settings) -> None:
    """Print the threads of the process ``options.threads``; ``given`` are the parameters of the view.

    Raises :class:`~cpuwatch.errors.SettingsError` or :class:`~cpuwatch.errors.QueryError` for flags that do not apply
    to threads, and what :func:`cpuwatch.threads` raises.
    """
    values = _thread_values(options, given)
    is_table = options.format == "text"
    max_rows = None if options.all or not is_table else values.pop("top", _TABLE_ROWS)
    snapshot = select_threads(threads(options.threads, settings.interval, settings.backend), values)
    if not is_table:
        output = THREAD_ENCODERS[options.format](snapshot)
        write_output(output if output.endswith(b"\n") else output + b"\n")
        return
    encoding = output_encoding()
    width = shutil.get_terminal_size((0, 0)).columns or None
    text = threads_table(snapshot, encoding=encoding, width=width, max_rows=max_rows, hint=" (--all shows them)")
    write_output(text.encode(encoding))


def _thread_values(options: argparse.Namespace, given: Mapping[str, Any]) -> dict[str, Any]:
    flags = [name for name in _FLAGS_OF_SAMPLE if getattr(options, name) is not None]
    unfit = [*flags, *(name for name in given if name not in THREADS)]
    if unfit:
        raise SettingsError(
            f"--{unfit[0].replace('_', '-')} conflicts with --threads, which shows the threads of one process once"
        )
    values = dict(given)
    if "sort" in values:
        try:
            THREADS["sort"].parse(values["sort"])
        except ValueError as error:
            raise QueryError(f"{error} with --threads") from None
    return values

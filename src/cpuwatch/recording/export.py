"""Exports snapshots to a file or a stream, with bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from cpuwatch.encoding.arrow import BATCH_ROWS, chunks
from cpuwatch.encoding.flat_tables import TableName, flat_table
from cpuwatch.encoding.row_formats import ROW_FORMATS, RowFormat
from cpuwatch.errors import ExportError
from cpuwatch.model import Snapshot
from cpuwatch.recording.abandoned import locked, remove_abandoned
from cpuwatch.recording.directory import sync_directory

__all__ = ["exported", "new_file", "place"]


def exported(
    snapshots: Iterable[Snapshot], row_format: RowFormat, table: TableName = "processes", *, active_only: bool = True
) -> Iterator[bytes]:
    """The rows of these snapshots in a format, piece by piece.

    Raises :class:`~cpuwatch.errors.MissingExtraError` if the format needs the extra ``arrow``.
    """
    flat = flat_table(table)
    rows = (row for snapshot in snapshots for row in flat.rows(snapshot, active_only))
    return ROW_FORMATS[row_format](flat, chunks(rows, BATCH_ROWS))


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file that gets its name at the end, when it is whole and on the disk. After an exception there is no file.

    Raises :class:`~cpuwatch.errors.ExportError` if there is a file of that name, unless ``overwrite``, and ``OSError``.
    """
    _check_target(path, overwrite=overwrite)
    prefix = f".{path.name[:200]}."
    remove_abandoned(
        found for found in path.parent.glob(f"{escape(prefix)}*.tmp") if found.name[len(prefix) : -4].isdecimal()
    )
    unfinished = path.with_name(f"{prefix}{os.getpid()}.tmp")
    with ExitStack() as failed:
        failed.callback(_remove, unfinished)
        with unfinished.open("xb") as file, locked(unfinished):
            yield file
            file.flush()
            os.fsync(file.fileno())
        place(unfinished, path, overwrite=overwrite)
        failed.pop_all()
    sync_directory(path.parent)


def _remove(unfinished: Path) -> None:
    with suppress(OSError):
        unfinished.unlink()


def place(unfinished: Path, path: Path, *, overwrite: bool) -> None:
    """Give a finished file its name. Raises :class:`~cpuwatch.errors.ExportError` if the name is taken."""
    if not overwrite:
        try:
            # Unlike rename(2), link(2) never replaces a file that appeared meanwhile.
            path.hardlink_to(unfinished)
        except OSError:
            # The name is taken, or this file system has no hard links.
            _check_target(path, overwrite=False)
        else:
            unfinished.unlink()
            return
    _check_target(path, overwrite=overwrite)
    unfinished.replace(path)


def _check_target(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise ExportError(f"cannot export to {str(path)!r}: it is a directory; name a file")
    if path.exists() and not path.is_file():
        raise ExportError(f"cannot export to {str(path)!r}: it is not a regular file; export to - and redirect it")
    if path.exists() and not overwrite:
        raise ExportError(f"cannot export to {str(path)!r}: the file exists; use --force to overwrite it")

"""What commands show of a snapshot: the flags of the view, and the output as a table or as records."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from cpuwatch.commands.flags import typed
from cpuwatch.commands.standard_streams import output_encoding, write_output
from cpuwatch.encoding.formats import FORMAT, FORMATS
from cpuwatch.encoding.table import table
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import VIEW, Parameter, view_from
from cpuwatch.query.view import apply_view
from cpuwatch.text import text_from_locale

__all__ = ["add_view_flags", "given_view", "write_snapshot", "write_snapshots"]

_TABLE_ROWS = 20
_METAVARS = {"sort": "FIELD", "fields": "FIELD", "min_percent": "PERCENT", "group_by": "KEY"}


def add_view_flags(parser: argparse.ArgumentParser, *, top_flags: Sequence[str] = ("-n", "--top")) -> None:
    """Add the flags about rows, columns and the format."""
    rows = parser.add_argument_group("rows and columns")
    count = rows.add_mutually_exclusive_group()
    count.add_argument(
        *top_flags,
        type=typed(VIEW["top"].parse),
        metavar="ROWS",
        help=f"show at most this many rows, the busiest first (default: {_TABLE_ROWS} in a table, all in JSON)",
    )
    count.add_argument("--all", action="store_true", help="show all rows")
    for name, parameter in VIEW.items():
        if name != "top":
            _add_parameter(rows, parameter)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format",
        type=typed(FORMAT["format"].parse),
        default="text",
        choices=tuple(FORMATS),
        metavar="FORMAT",
        help=f"one of {', '.join(FORMATS)} (default: text, a table as wide as the terminal)",
    )
    output.add_argument("--json", dest="format", action="store_const", const="json", help="same as --format json")


def given_view(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters of the view that were given. Raises :class:`~cpuwatch.errors.QueryError` if they conflict."""
    given = {name: value for name in VIEW if (value := getattr(options, name)) is not None}
    view_from(given)
    return given


def write_snapshots(snapshots: Iterable[Snapshot], given: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the view of each snapshot as it comes; tables are separated by a blank line."""
    for index, snapshot in enumerate(snapshots):
        if index and options.format == "text":
            write_output(b"\n")
        write_snapshot(snapshot, given, options)


def write_snapshot(snapshot: Snapshot, given: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the view of a snapshot to the standard output."""
    write = _write_table if options.format == "text" else _write_records
    write(snapshot, dict(given), options)


def _add_parameter(group: argparse._ArgumentGroup, parameter: Parameter) -> None:
    name = parameter.name.replace("_", "-")
    if parameter.schema["type"] == "boolean":
        words = parameter.name.replace("_", " ")
        group.add_argument(
            f"--no-{name}", dest=parameter.name, action="store_const", const=False, help=f"leave out {words}"
        )
        return
    several = parameter.schema["type"] == "array"
    allowed = (parameter.schema["items"] if several else parameter.schema).get("enum")
    group.add_argument(
        f"--{name}",
        type=typed(lambda text: parameter.parse(_as_shown(text))),
        choices=None if several else allowed,
        metavar=_METAVARS.get(parameter.name, parameter.name.upper()) + (",..." if several else ""),
        help=_help(parameter.description) + (f"; one of {', '.join(allowed)}" if allowed else ""),
    )


def _help(description: str) -> str:
    """Turn a description, which is a sentence, into the form of argparse's help texts."""
    return description[0].lower() + description[1:].removesuffix(".")


def _as_shown(text: str) -> str:
    """Decode an argument like names: bytes that the locale cannot decode are UTF-8, or else escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text_from_locale(text)
    return text


def _write_table(snapshot: Snapshot, given: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the table in the encoding of the output, as wide as the terminal. Other outputs are not truncated."""
    max_rows = None if options.all else given.pop("top", _TABLE_ROWS)
    view = view_from(given)
    encoding = output_encoding()
    text = table(
        apply_view(snapshot, view),
        view.fields,
        encoding=encoding,
        width=shutil.get_terminal_size((0, 0)).columns or None,
        max_rows=max_rows,
        hint=" (--all shows them)",
    )
    write_output(text.encode(encoding))


def _write_records(snapshot: Snapshot, given: dict[str, Any], options: argparse.Namespace) -> None:
    """Write JSON or lines of JSON, always in UTF-8 (RFC 8259, 8.1)."""
    view = view_from(given)
    output = FORMATS[options.format].encode(apply_view(snapshot, view), view.fields)
    write_output(output if output.endswith(b"\n") else output + b"\n")

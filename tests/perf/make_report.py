"""Make the report of a run again from its data: ``python -m tests.perf.make_report reports/perf.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .report import render
from .results import FORMAT, Results

__all__ = ["UnreadableResultsError", "main", "read_results"]


class UnreadableResultsError(Exception):
    """A file that is not there, is broken or not of our format; the message says which, in one line."""


class _Format(msgspec.Struct):
    format: int


def read_results(file: Path) -> Results:
    """The data of a run."""
    try:
        data = file.read_bytes()
        found = msgspec.json.decode(data, type=_Format).format
        if found != FORMAT:
            raise UnreadableResultsError(f"{file}: its format is {found}, this command reads {FORMAT}")
        return msgspec.json.decode(data, type=Results)
    except OSError as error:
        raise UnreadableResultsError(f"{file}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise UnreadableResultsError(f"{file}: not the data of a run: {error}") from error
    except msgspec.DecodeError as error:
        raise UnreadableResultsError(f"{file}: no whole JSON: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make_report", description="Make the report of a run again from its data.")
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument(
        "--baseline", type=Path, nargs="+", default=[], metavar="FILE", help="data of earlier runs to compare with"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: RESULTS.html")
    options = parser.parse_args(arguments)
    output: Path = options.output or options.results.with_suffix(".html")
    try:
        page = render(read_results(options.results), [read_results(file) for file in options.baseline])
        output.write_text(page, encoding="utf-8")
    except UnreadableResultsError as error:
        sys.stderr.write(f"make_report: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"make_report: {output}: {error.strerror}\n")
        return 2
    sys.stdout.write(f"{output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Render the report of a run from its data: ``python -m benchmarks.report reports/perf.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.loadgen.results import UnreadableResultsError, read_results
from benchmarks.report.page import render

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description="Render the report of a run from its data."
    )
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: RESULTS.html")
    options = parser.parse_args(arguments)
    output: Path = options.output or options.results.with_suffix(".html")
    try:
        output.write_text(render(read_results(options.results)), encoding="utf-8")
    except UnreadableResultsError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{parser.prog}: {output}: {error.strerror}\n")
        return 2
    sys.stdout.write(f"{output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

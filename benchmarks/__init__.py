"""The measuring kit: the load generator, its report, and the benchmarks, each run as ``python -m benchmarks.NAME``.

It imports cpuwatch and never the tests; the tests import it.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["ROOT", "say"]

ROOT = Path(__file__).parent.parent
"""The directory from which child processes import this package."""


def say(text: str) -> None:
    """Show the progress of a run. Standard output is for its tables."""
    print(text, file=sys.stderr, flush=True)

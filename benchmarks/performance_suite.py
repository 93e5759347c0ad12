"""Lets a benchmark that is run as a script import ``perf``, the performance suite; import this before."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["FOLDER"]

FOLDER = Path(__file__).parent.parent / "tests"
"""The package lies there."""

sys.path.append(str(FOLDER))

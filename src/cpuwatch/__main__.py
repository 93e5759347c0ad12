"""``python -m cpuwatch`` is the command ``cpuwatch``."""

from __future__ import annotations

import sys

from cpuwatch.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())

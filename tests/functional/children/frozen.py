"""Runs ``cpuwatch`` with these arguments. A request to ``/livez`` blocks its event loop forever."""

from __future__ import annotations

import sys
import time
from typing import NoReturn

from cpuwatch.commands import cli
from cpuwatch.web.endpoints import health


async def freeze(_: object) -> NoReturn:
    sys.stdout.write("frozen\n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)  # noqa: ASYNC251  the fault to simulate


health.alive = freeze

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))

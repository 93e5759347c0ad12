"""Serves from a /proc that hides the processes of others, as another user, until a file appears: then it shows all.

To be run as root, as the first process of a PID namespace and in a mount namespace of its own.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401
import os
import subprocess
import sys
import time
from pathlib import Path

import hypercorn.asyncio  # noqa: F401

# The ordinary user may not be let into the folders of this interpreter: what the server imports later is imported here.
import cpuwatch.web.hypercorn_quirks  # noqa: F401
from cpuwatch import open_sampler
from cpuwatch.server.listening import Listening
from cpuwatch.server.run import serve
from cpuwatch.settings import Settings


def mount(options: str) -> None:
    subprocess.run(["mount", "-t", "proc", "-o", options, "proc", "/proc"], check=True)


def serve_as(user_id: int) -> None:
    # Loads whatever a reading needs.
    with open_sampler() as sampler:
        sampler.read()
    # Members of the group 0 see everything, unless the option gid= names another.
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)
    serve(Settings(interval=0.1), Listening(bind="127.0.0.1:0"))


def main() -> None:
    option, user_id, all_shown = sys.argv[1:]
    mount(option)
    if os.fork() == 0:
        serve_as(int(user_id))
        return
    # This one is of root, and runs all the time: what was refused once is asked for again when a process has run.
    while not Path(all_shown).exists():
        time.sleep(0.01)
    mount("remount,hidepid=0")
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    main()

"""Serves as another user, from a /proc that hides the processes of others until a file appears.

Run it as root, as the first process of a PID namespace and in a separate mount namespace.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401
import os
import subprocess
import sys
import time
from pathlib import Path

import hypercorn.asyncio  # noqa: F401

# The ordinary user may not be able to read the files of this interpreter, so imports that the server defers are here.
import cpuwatch.server.hypercorn_quirks
import cpuwatch.web  # noqa: F401
from cpuwatch import open_sampler
from cpuwatch.server.listening import Listening
from cpuwatch.server.run import serve
from cpuwatch.settings import Settings


def mount(options: str) -> None:
    subprocess.run(["mount", "-t", "proc", "-o", options, "proc", "/proc"], check=True)


def serve_as(user_id: int) -> None:
    # Import everything that a reading needs.
    with open_sampler() as sampler:
        sampler.read()
    # Members of group 0 see everything, unless the option gid= names another group.
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
    # A process of root that runs all the time, because an unreadable process is retried only after it has run.
    while not Path(all_shown).exists():
        time.sleep(0.01)
    mount("remount,hidepid=0")
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    main()

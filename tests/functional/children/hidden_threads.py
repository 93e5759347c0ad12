"""Mounts a /proc that hides the processes of others, and reads the threads of one as another user; prints the error.

Run it as root, as the first process of a PID namespace and in a separate mount namespace.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cpuwatch.errors import CpuwatchError
from cpuwatch.samplers.threads import open_thread_reader


def main() -> None:
    option, backend, user_id = sys.argv[1:]
    subprocess.run(["mount", "-t", "proc", "-o", option, "proc", "/proc"], check=True)
    other = os.fork()
    if other == 0:
        # It exits with the namespace.
        time.sleep(3600)
    reader = open_thread_reader(backend)
    # Import what a reading needs: the ordinary user may not be able to read the files of this interpreter.
    reader.read(other)
    os.setgroups([])
    os.setgid(int(user_id))
    os.setuid(int(user_id))
    assert reader.read(os.getpid()).threads
    try:
        reader.read(other)
    except CpuwatchError as error:
        sys.stdout.write(f"{type(error).__name__}: {str(error).replace(str(other), 'OTHER')}")


if __name__ == "__main__":
    main()

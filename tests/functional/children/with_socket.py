"""Starts a command with a listening socket as descriptor 3, as systemd's socket activation does."""

from __future__ import annotations

import os
import socket
import sys

with socket.create_server(("127.0.0.1", 0)) as listening:
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)  # dup2 does nothing if the descriptor is 3 already
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606

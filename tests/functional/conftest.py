"""Processes that the tests start handle signals as from a terminal, even if the tests run as a background job."""

from __future__ import annotations

import signal

# A signal that is ignored stays ignored across execve(2): `nohup` ignores SIGHUP, and a shell without job control
# ignores SIGINT and SIGQUIT for what it starts in the background.
for number, action in {
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
}.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, action)

"""A process whose threads use CPU, rename themselves and end on command, and measure themselves.

Commands: ``start HEX`` a thread with this name, ``spend TID MILLISECONDS`` in a thread, ``clock TID``, ``end TID``,
``idle COUNT`` starts threads that only wait, and ``clock`` is that of the process. A clock is answered in nanoseconds.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from pathlib import Path


class Worker:
    def __init__(self, name: bytes) -> None:
        self._name = name
        self._orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.tid = self._answers.get()

    def spend(self, nanoseconds: int) -> int:
        """Use this much CPU time, and return the clock of the thread after it."""
        self._orders.put(nanoseconds)
        return self._answers.get()

    def end(self) -> None:
        self._orders.put(None)
        self._thread.join()
        # Python has finished it before the kernel has.
        while Path(f"/proc/self/task/{self.tid}").exists():
            time.sleep(0.001)

    def _work(self) -> None:
        tid = threading.get_native_id()
        Path(f"/proc/self/task/{tid}/comm").write_bytes(self._name)
        self._answers.put(tid)
        while (nanoseconds := self._orders.get()) is not None:
            until = time.thread_time_ns() + nanoseconds
            while time.thread_time_ns() < until:
                pass
            self._answers.put(time.thread_time_ns())


def reply(answer: object) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def main() -> None:
    workers: dict[int, Worker] = {}
    forever = threading.Event()
    reply("ready")
    for line in sys.stdin:
        match line.split():
            case ["start", name]:
                worker = Worker(bytes.fromhex(name))
                workers[worker.tid] = worker
                answer = worker.tid
            case ["spend", tid, milliseconds]:
                answer = workers[int(tid)].spend(int(milliseconds) * 1_000_000)
            case ["clock", tid]:
                answer = workers[int(tid)].spend(0)
            case ["clock"]:
                answer = time.process_time_ns()
            case ["end", tid]:
                workers.pop(int(tid)).end()
                answer = 0
            case ["idle", count]:
                threading.stack_size(65_536)
                for _ in range(int(count)):
                    threading.Thread(target=forever.wait, daemon=True).start()
                answer = threading.active_count()
        reply(answer)


main()

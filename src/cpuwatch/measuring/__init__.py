"""What a command or a block of Python used: a tree of processes, counted from its start to its end.

The amounts come from the kernel's exact counters, the names from readings. :mod:`~cpuwatch.measuring.descendants` is
the arithmetic and :mod:`~cpuwatch.measuring.used` the result; both are pure. The other modules read clocks.
"""

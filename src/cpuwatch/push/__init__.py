"""Pushes what used the CPU to stores of metrics: a bounded number of series that add up to the machine's busy time."""

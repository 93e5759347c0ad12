"""The Linux sampler: /proc, the CPU clocks of processes, and taskstats.

:mod:`~cpuwatch.samplers.procfs.sampler` puts the parts together. The package imports what the modules of
:mod:`cpuwatch.samplers` may import, and those modules.
"""

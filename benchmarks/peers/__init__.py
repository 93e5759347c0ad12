"""cpuwatch beside other servers, exporters and samplers: ``python -m benchmarks.peers``."""

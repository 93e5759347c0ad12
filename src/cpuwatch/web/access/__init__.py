"""Access control: hosts, token, origins, and limits per client.

Imports :mod:`cpuwatch.web.http`.
"""

"""Who may read: hosts, token, origins, limits for each client.

Imports :mod:`cpuwatch.web.http`.
"""

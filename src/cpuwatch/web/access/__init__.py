"""Who may read: hosts, origins, token, limits for each client.

Imports :mod:`cpuwatch.web.http`; never an endpoint.
"""

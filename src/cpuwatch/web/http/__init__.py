"""HTTP without endpoints: requests, negotiation, responses and how they are sent.

Imports nothing else from :mod:`cpuwatch.web`.
"""

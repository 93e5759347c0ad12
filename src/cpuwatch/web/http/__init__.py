"""HTTP below the endpoints: requests, negotiation, responses, and sending them.

Imports nothing else from :mod:`cpuwatch.web`.
"""

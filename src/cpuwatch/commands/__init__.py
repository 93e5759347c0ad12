"""The command line: parses flags, calls the library or the server, prints.

May import everything else; nothing imports it.
"""

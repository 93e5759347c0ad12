"""Other machines that run cpuwatch: their list, and what they answer.

``peer_list`` and ``usage`` are pure; ``connection`` talks to one machine, ``source`` reads the list, and
``watch`` asks all machines.
"""

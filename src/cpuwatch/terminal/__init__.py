"""The live view in a terminal: ``cpuwatch top``.

``model`` is pure: what a snapshot looks like on a screen of a given size, and what a key changes. ``sources`` supplies
snapshots, ``screen`` draws with urwid, and ``app`` connects the three.
"""

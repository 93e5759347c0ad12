"""The performance suite: black box over HTTP, against the server as users run it."""

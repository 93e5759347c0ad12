"""The performance suite: black-box tests over HTTP of the server as users run it."""

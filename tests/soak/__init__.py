"""A long run with clients and processes that come and go, to find leaks in the server."""

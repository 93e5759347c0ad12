"""Twenty minutes of everything that comes and goes, and what is left of it in the server."""

"""The load generator: connections, their pace, checks of the responses, and the statistics of a run."""

"""The HTML report of a run: one self-contained page, without scripts. Imports loadgen for the data of a run."""

"""The customers of `capflow demo`, and the tour that onboards them and prints a summary.

Belongs here: their TOML files, the order of the tour, its closing summary. Does not belong here: anything that only
the demo could do; it calls what the CLI calls.
"""

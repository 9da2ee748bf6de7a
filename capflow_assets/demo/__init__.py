"""The customers of `capflow demo`, and the tour that brings them in and shows what came of it.

Belongs here: their TOML files, the order of the tour, its closing summary. Does not belong here: anything that only
the demo could do; it calls what the CLI calls.
"""

"""Benchmarks: ours and the peer in one run, with the ratio. `make bench`, or `python -m bench load overhead users`."""

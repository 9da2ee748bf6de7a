"""Processes that share a home: locks, first use, who is alive, and a command that outlives its own death.

Does not belong here: what is done under a lock.
"""

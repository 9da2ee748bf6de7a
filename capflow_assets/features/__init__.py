"""Features: one file = one block of user or item features as of a moment.

Belongs here: figures that models read, made of clean tables, from what was true at the as-of moment and nothing after
it. Does not belong here: labels, anything learnt (that is ``models``), and any row that needs the future.
"""

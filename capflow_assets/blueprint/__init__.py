"""What the packages declare, read and checked: tables, checks, models, the edges between them, and what holds for each.

Does not belong here: computing any of it (``tables``, ``life``), Dagster (``graph``).
"""

"""One customer's tables: landed, computed in order, carried on, checked, quarantined, catalogued.

Does not belong here: how a source's row becomes a canonical one (``landing``), where files lie (``stores``).
"""

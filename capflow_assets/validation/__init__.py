"""Validation: one file = one report about a customer's data, or one check of a clean table.

Belongs here: figures by which a person judges whether the data can be trusted (reports are tables), and checks, which
return a ``Finding``. Does not belong here: rules of one column, which stand in the table's schema, and anything that
mends a row (that is ``clean``).
"""

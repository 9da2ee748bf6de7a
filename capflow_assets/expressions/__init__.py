"""Expressions: one definition of what many tables have to mean alike, for the engine and for Python.

    ids           the normal form of what joins tables, and what is blank
    placeholders  days that programs write where they know none
    history       how far back days with bills reach
Belongs here: a rule that landing, cleaning, features, validation and erasure share. Does not belong here: a table, or
what only one of them needs. Pure.
"""

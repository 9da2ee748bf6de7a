"""Expressions: one definition of what many tables have to mean alike, for the engine and for Python.

What a row says:

    ids               the normal form of what joins tables, and what is blank
    nobody            words that stand where a user's id does and mean nobody
    placeholders      days that programs write where they know none
    optional_columns  columns that a customer may leave out
    numbers           which numbers are too large to be amounts
    removals          which rows are set aside as incomplete or as doubles, and why
    exports           which of several exports of a row holds
    bills             what holds a bill together
    messages          what a message to a user is
    visits            what counts as a visit, and which users are known
    own_rhythm        who is new, active or lapsed by the own gaps between visits

When it is known:

    as_of             the as-of moment, and how a person writes it
    known_at          which rows a moment knows, for one moment or many
    grouping          sums by moment, where one moment costs nothing
    history           how far back days with bills reach
    days, months      days and months of the customer's own calendar
    micros            moments as whole microseconds

What it adds up to:

    sums              exact sums, and what is divided of them
    bins, figures     the bins in which reports count, and their figures as rows

Belongs here: a rule that several of landing, cleaning, features, validation, outcomes and erasure share. Does not
belong here: a table, or what only one of them needs. Pure.
"""

"""Clean: one file = one conformed table: its schema and the function that makes it from raw tables.

Belongs here: what makes rows of different customers alike (ids, local days, sums), and which rows are set aside as
duplicates or incomplete. Every function returns all rows, with ``removed_because`` null on those that stay, so that
nothing vanishes unseen. Does not belong here: a figure about a user, or anything as of a moment.
"""

"""Synthesis: features composed recursively over the graph of entities (Deep Feature Synthesis). No table of its own.

    entities    users, bills, line items, items, stores: who is whose child, and what can be read off a row of each
    primitives  the aggregations, as data
    features    which features these two give, and what each is called
    figures     the figures of a group, and the units in which they are held
    plan        what the chosen features need of line items, of bills and of users
    scans       one scan of the rows by the engine; one shuffle brings the rows of a user to one worker
    columns     the columns in which those rows travel
    shards      a worker puts its rows in order
    rollup      and sums them up: line items into bills, bills into users
    groups      the groups of rows that are summed up
    kernels     the compiled loops that do it
    pruning     which of many columns say something new

Belongs here: what holds for any feature block that is composed. Does not belong here: a table, and a customer's
settings. Imports expressions, the contract and the errors alone.
"""

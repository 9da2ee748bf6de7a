"""One file = one kind of store, opened as a Spark DataFrame.

Belongs here: a module with ``Options`` (pydantic: what a customer may say about such a store), ``read(spark, location,
options)`` (one row per row of the store, its own column names) and ``find_rows(location, options, rows)`` (where in the
store some rows stand, for people). Does not belong here: what the columns mean; that is the customer's mapping.

A name that starts with an underscore is shared by the sources and is not one. Rows that fit no column come with their
reason in the column ``_corrupt_record``; landing rejects them.
"""

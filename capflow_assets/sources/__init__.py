"""One file, or one package, = one kind of store, opened as a Spark DataFrame.

Belongs here: a module that is a ``Source`` of the contract. It has ``Options`` (pydantic: what a customer may say about
such a store) and ``read(spark, location, options)``: one row per row of the store, its own column names, and
``_position``, where the row stands, for people (``bills.csv:17``). What a kind may be able to do besides, such as
finding its newer rows by itself, are protocols of the contract as well. A module without ``Options`` is an error.
Does not belong here: what the columns mean; that is the customer's mapping.

What several kinds share is in ``reading/``, which is none. Rows that fit no column come with their reason in the column
``_corrupt_record``; landing rejects them. Where single values alone are at fault, the column ``_unfit_columns`` names
theirs, and landing rejects the rows that are read there. Credentials are named, never written:
``password = { env = "NAME" }``.
"""

# Packages here that are no kinds of store.
SHARED = ("reading",)

"""One file = one kind of store, opened as a Spark DataFrame.

Belongs here: a module with ``Options`` (pydantic: what a customer may say about such a store) and ``read(spark,
location, options)``: one row per row of the store, its own column names, and ``_position``, where the row stands, for
people (``bills.csv:17``). A store that can filter by itself offers ``read_newer(spark, location, options, column,
than)``; one whose rows only the engine reads offers ``find_rows(location, options, rows)`` instead of positions; one
whose locations have a form of their own offers ``check_location(location)``; one whose workers read text offers
``read_at_a_glance(spark, location, options, kinds, zone)``, which tells times and numbers beside their text, and of
which columns; one that reads files offers ``exports(location, with_times)``, what each file is called and when it was
written, and ``file_of(position, options)``, the file in a row's place.
Does not belong here: what the columns mean; that is the customer's mapping.

A name that starts with an underscore is shared by the sources and is not one. Rows that fit no column come with their
reason in the column ``_corrupt_record``; landing rejects them. Where single values alone are at fault, the column
``_unfit_columns`` names theirs, and landing rejects the rows that are read there. Credentials are named, never written:
``password = { env = "NAME" }``.
"""

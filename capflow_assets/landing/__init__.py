"""From a customer's own columns to a raw table's: types, times and rules, row by row, with the reason where one fails.

Belongs here: what a row must be to land.
    canonical_rows  a source's rows in a raw table's columns, each with the reason where it cannot land
    rejections    the columns that say so; rules, the words for it
    mappings      a customer's expression over the source's columns, held to one row
    values        what text or a typed value means as a canonical type
    keys          by which columns a row is one, and which join tables
    time_formats  how times may be written; number_formats, how numbers may
    suggestions   the option that would read what was rejected
    time_texts    times read part by part; time_zones, the zones there are
    bill_keys     a bill's id of several parts, where its numbers restart
    watermarks    which rows are newer than those that have landed, and what becomes of the older ones
    personal      which columns name a person, and what stands in their place
    personal_names   names of columns that say that they do, in several languages
    personal_values  columns that nobody calls personal, and whose values look it
    kept_columns  columns that come from a personal one under a plain name, or that hold such values in a sample
    guests        rows of nobody: ids that stand for no user, and rows of a list of users that have none
    totals        rows that sum others up, and are no bills
    unfit_values  which complaints of a source count: those about what a mapping reads
    exports       which export a row came with, where a table comes in several
    row_filter    which rows land at all: a customer's where
    row_expressions  the grammar of a customer's expressions; queries, of its queries over several inputs
Does not belong here: duplicates and unknown keys (cleaning decides), reading, writing. Pure; the same rows on every
engine. The session's time zone is UTC.
"""

"""From a customer's own columns to a raw table's: types, times and rules, row by row, with the reason where one fails.

Belongs here: what a row must be to land.
    mappings      a customer's expression over the source's columns, held to one row
    values        what text or a typed value means as a canonical type
    rules         the words for a row that cannot land
    time_formats  how times may be written; number_formats, how numbers may
    suggestions   the option that would read what was rejected
    time_texts    times read part by part; time_zones, the zones there are
    bill_keys     a bill's id of several parts, where its numbers restart
    watermarks    which rows are newer than those that have landed, and what becomes of the older ones
    personal      which columns name a person, and what stands in their place
    guests        rows of nobody: ids that stand for no user, and rows of a list of users that have none
    declared      what a TOML may say of these, held against the table
    totals        rows that sum others up, and are no bills
    unfit_values  which complaints of a source count: those about what a mapping reads
    disguised     columns that nobody calls personal, and whose values look it
    exports       which export a row came with, where a table comes in several
    kept_columns  columns that come from a personal one under a plain name, or that hold such values in a sample
    personal_names  names of columns that tell so, in several languages
    row_filter    which rows land at all: a customer's where
    queries       a customer's query over several inputs, judged and spelled anew
Does not belong here: duplicates and unknown keys (cleaning decides), reading, writing. Pure; the same rows on every
engine. The session's time zone is UTC.
"""

"""Raw: one file = one canonical table as it landed, and nothing is computed.

Belongs here: what a customer may send, column by column, with the rules that a row must keep to be let in; the
module's docstring is what the table's page says. A customer's own column names do not belong here (their TOML maps
them to these), nor does anything that repairs or combines rows (that is ``clean``).

A raw table always has every declared column: one that the customer lacks is null throughout.
"""

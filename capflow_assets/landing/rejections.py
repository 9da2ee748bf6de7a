"""The columns in which landing says of a row why it cannot land, where it stands, and what it is."""

REASON = "rejected_because"
POSITION = "source_position"
SOURCE_ROW = "source_row"
RESERVED = (REASON, POSITION, SOURCE_ROW)

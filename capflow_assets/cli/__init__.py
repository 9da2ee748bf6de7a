"""``capflow …``: commands, their options, and how results look in a terminal. Does not belong here: work."""

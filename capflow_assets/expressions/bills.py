"""What holds a bill together."""

from __future__ import annotations

from capflow_assets.expressions.micros import AN_HOUR

# Rows of one bill lie at most so far apart; a night shift that closes its bills the next morning fits in.
LONGEST_BILL_MICROS = 24 * AN_HOUR

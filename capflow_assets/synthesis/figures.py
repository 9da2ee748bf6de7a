"""The figures of a group, and the units in which they are held. Pure.

Numbers are counted in whole millionths (**ticks**) held as doubles, so that a sum is exact, and so the same in every
order, up to nine thousand million; unknown is NaN. Truths are 0 or one whole in ticks. Categories are hashes, unknown
is ``NO_HASH``.
"""

from __future__ import annotations

TICKS = 1_000_000
# Numbers from here on are left out (null): sums of them would not be exact.
LARGEST = 1e10
NO_HASH = -(1 << 63)
# Of numbers and truths: how many values are known, the sum of the squares of their distances from the mean, their sum,
# the least and greatest of them, their mean, their sample deviation (none below two), and the value of the last row,
# known or not.
FIGURES = ("known", "squares", "total", "least", "greatest", "mean", "deviation", "newest")
# The first of these give all the others but the newest, of groups and of groups of groups.
STORED = 5

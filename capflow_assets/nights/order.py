"""Who goes first: by deadline class, then by what each customer has had of late. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.nights.cohorts import Units

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINUTE, HOUR = 60.0, 3600.0
# After so long nobody who came later goes first.
PATIENCE_SECONDS = 4 * HOUR
# How much time is left before a job has to start to keep its deadline.
WAITED_LONG, DUE_NOW, DUE_SOON, DUE_LATER, NO_DEADLINE = range(5)
CLASS_WORDS = ("waited long", "due now", "due soon", "due later", "no deadline")
NOW_SECONDS, SOON_SECONDS = 15 * MINUTE, 2 * HOUR
# Runs that take more of what a slot has to do go first, else they would outlast the rest.
LONG_PART_OF_SLOT = 0.1


def deadline_classes(
    since: NDArray[np.float64],
    deadline: NDArray[np.float64],
    seconds: NDArray[np.float64],
    now: float,
    patience: float = PATIENCE_SECONDS,
) -> NDArray[np.int64]:
    """The class of each job, the smallest first.

    >>> one = np.array([0.0])
    >>> [CLASS_WORDS[deadline_classes(one, one + 3600, one + 600, now)[0]] for now in (0, 2400, 14400)]
    ['due soon', 'due now', 'waited long']
    """
    slack = deadline - now - seconds
    classes = np.digitize(slack, (NOW_SECONDS, SOON_SECONDS)) + DUE_NOW
    classes[np.isinf(slack)] = NO_DEADLINE
    classes[now - since >= patience] = WAITED_LONG
    return classes


def in_order(units: Units, slot_seconds: float) -> NDArray[np.int64]:
    """The units of one pool as they should start; ``slot_seconds`` is the work that each slot has before it.

    Those that have waited long go by how long. Within a class long runs go first, then whose customers had least of
    late; among equals the longer run, then the earlier one. Of those that are in no hurry, long ones come first whether
    they have a deadline or not.
    """
    is_old = units.urgency == WAITED_LONG
    is_long = (units.seconds > slot_seconds * LONG_PART_OF_SLOT) & ~is_old
    turn = np.where(is_long, -1.0, np.where(is_old, units.since, units.usage))
    urgency = np.where(is_long, np.minimum(units.urgency, DUE_LATER), units.urgency)
    return np.lexsort((units.since, -units.seconds, turn, urgency))

"""The demo's first words: what it will do, in how many processes, how long that takes, and where all of it lies.

Belongs here: words alone. Does not belong here: what is computed; that is in ``demo.tour``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

# 748 assets in eight minutes on two cores, all brands of their usual size.
CORE_SECONDS_AN_ASSET = 8 * 60 * 2 / 748


def opening(real: Sequence[str], simulated: Sequence[str], assets: int, processes: int, home: Path) -> str:
    """What the demo says before it begins; ``assets`` are those of all customers together.

    >>> print(opening(["grocer"], ["boots", "cafe"], assets=561, processes=2, home=Path("shop")))
    3 customers go from their files to champions and predictions: grocer with real data, boots and cafe simulated.
    561 assets take about 6 minutes in 2 processes where nothing else is running; fewer simulated users, less.
    All of it is kept in shop. Interrupted, the same command goes on.
    """
    count = len(real) + len(simulated)
    minutes = max(1, math.ceil(assets * CORE_SECONDS_AN_ASSET / processes / 60))
    units = f"{minutes} minute{'s' if minutes > 1 else ''}"
    places = f"{processes} process{'es' if processes > 1 else ''}"
    customers = f"{' and '.join(real)} with real data, {' and '.join(simulated)} simulated"
    how_long = f"about {units} in {places} where nothing else is running; fewer simulated users, less"
    return (
        f"{count} customers go from their files to champions and predictions: {customers}.\n"
        f"{assets:,} assets take {how_long}.\n"
        f"All of it is kept in {home}. Interrupted, the same command goes on."
    )

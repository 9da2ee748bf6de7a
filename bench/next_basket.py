"""Lists of items for 100,000 users from 20,000 items: seconds and peak memory, on two threads.

Baskets are long-tailed in both ways: few users come often, few items are bought often. Run in a process of its own, so
that the peak is this benchmark's.
"""

from __future__ import annotations

import subprocess
import sys

USERS, ITEMS = 100_000, 20_000
VISITS, ITEMS_A_VISIT = 10.0, 6.0
THREADS = 2


def run() -> None:
    """Print the seconds of each step and the peak memory."""
    subprocess.run([sys.executable, "-c", "from bench.next_basket import measure; measure()"], check=True)


def measure() -> None:
    """The same, in this process."""
    import resource
    import time

    import numpy as np

    from capflow_assets.learning.item_lists import alike_lists
    from capflow_assets.learning.recipe_choice import USUAL, best_recipe, past_of

    baskets, outcomes = market(np.random.default_rng(0))
    before = peak_mib(resource.RUSAGE_SELF)
    alike_lists(baskets, np.arange(2), USUAL, 20)
    began, processor = time.perf_counter(), time.process_time()
    past = past_of(baskets, outcomes, seed=0)
    recipe, _ = best_recipe([past] if past else [], 10)
    chosen = time.perf_counter()
    lists = alike_lists(baskets, np.arange(USERS), USUAL, 20, THREADS)
    listed, spent = time.perf_counter(), time.process_time() - processor
    sizes = f"{USERS:,} users, {ITEMS:,} items, {len(baskets.item):,} pairs"
    print(  # noqa: T201
        f"next_basket: {sizes}: to choose a recipe at one moment {chosen - began:.1f} s ({recipe.neighbours} alike), "
        f"lists of {lists.items.shape[1]} {listed - chosen:.1f} s on {THREADS} threads, processor {spent:.1f} s; peak "
        f"{peak_mib(resource.RUSAGE_SELF):,.0f} MiB, of which {before:,.0f} to make the baskets"
    )


def peak_mib(who: int) -> float:
    """The most memory that was resident at once."""
    import resource

    return resource.getrusage(who).ru_maxrss / 1024


def market(random):  # type: ignore[no-untyped-def]
    """Baskets of a market, and as outcomes a further visit of some users."""
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.baskets import baskets_of

    visits = 1 + random.poisson(random.gamma(0.7, VISITS / 0.7, USERS))
    user = np.repeat(np.arange(USERS), visits)
    day = random.integers(0, 700, user.size)
    lines = 1 + random.poisson(ITEMS_A_VISIT - 1, user.size)
    user, day = np.repeat(user, lines), np.repeat(day, lines)
    item = (ITEMS ** random.random(user.size) - 1).astype("int64")  # Zipf: the chance of a place falls with the place
    ids = np.array([f"u{number:06d}" for number in range(USERS)], dtype=object)
    names = np.array([f"i{number:05d}" for number in range(ITEMS)], dtype=object)
    dates = np.datetime64("2022-01-01") + day.astype("timedelta64[D]")
    rows = {"user_id": ids[user], "item_id": names[item], "billed_on": dates, "is_return": False, "flags": ""}
    some = random.choice(len(user), 20_000, replace=False)
    outcomes = pd.DataFrame({"item_id": names[random.permutation(item[some])], "bought": 1.0}, index=ids[user[some]])
    return baskets_of(pd.DataFrame(rows)), outcomes.rename_axis("user_id")

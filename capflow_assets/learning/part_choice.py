"""Which parts of recommendations to fuse: all, unless some of them would have served better at the newest past moment.

Better is by two standard errors of the difference, paired by user: of seven ways that are equally good the best one is
better by one standard error more often than not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.item_space import ItemSpace
from capflow_assets.learning.recommendations import Ranking, rankings
from capflow_assets.learning.user_items import UserItems, user_items_of

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.contract import Examples

# So many tell a hundredth of recall apart, and cost a second or two.
MOST_USERS = 1_000


def newest_outcomes(examples: Examples, observed: str) -> pd.DataFrame | None:
    """The rows of the newest moment's outcomes that came; None where there are none to learn from."""
    rows = examples.outcomes
    if rows is None:
        return None
    # Outcomes say of which moment they are; where each user has one row, their examples do.
    numbered = next((frame for frame in (rows, examples.columns) if "moment" in frame.columns), None)
    if numbered is not None:
        rows = rows[(numbered["moment"] == len(examples.moments) - 1).to_numpy()]
    return rows[rows[observed] > 0]


def best_parts(
    table: pd.DataFrame, space: ItemSpace, bought: pd.DataFrame | None, parts: Sequence[str], top: int, seed: int
) -> tuple[list[str], dict[str, float]]:
    """The parts to fuse, and the mean recall of all ways to fuse some of them.

    ``table`` are rows of ``features/user_item`` at a moment, ``bought`` what was new to a user after it: index
    ``user_id``, column ``item_id``. Of more than ``MOST_USERS`` who bought something so many are drawn by the seed.
    """
    if bought is None or bought.empty or len(parts) == 1:
        return list(parts), {}
    known = user_items_of(table)
    users = known.user_numbers(np.sort(bought.index.unique().to_numpy()))
    users = users[users >= 0]
    if len(users) > MOST_USERS:
        users = np.sort(np.random.default_rng(seed).choice(users, MOST_USERS, replace=False))
    return chosen_parts(list(rankings(known, space, users, parts)), known, bought, parts, top)


def subsets(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """All ways to fuse some of the parts, all of them together first."""
    return [chosen for count in range(len(parts), 0, -1) for chosen in combinations(parts, count)]


def chosen_parts(
    ranked: Sequence[Ranking], known: UserItems, bought: pd.DataFrame, parts: Sequence[str], top: int
) -> tuple[list[str], dict[str, float]]:
    """As ``best_parts``, of lists that there are already.

    ``bought`` are rows of what was new to a user: index ``user_id``, column ``item_id``. Where there are none it is all
    parts.
    """
    users = np.concatenate([ranking.users for ranking in ranked]) if ranked else np.empty(0, dtype="int64")
    places = np.full(len(known.users), -1)
    places[users] = np.arange(len(users))
    user = known.user_numbers(bought.index.to_numpy())
    buyers = np.where(user >= 0, places[user], -1)
    buyers, items = buyers[buyers >= 0], known.item_numbers(bought["item_id"].to_numpy())[buyers >= 0]
    if not len(buyers):
        return list(parts), {}
    width = len(known.items) + 1
    pairs, counts = buyers * width + items, np.bincount(buyers, minlength=len(users))
    recalls: dict[tuple[str, ...], np.ndarray] = {}
    for chosen in subsets(parts):
        lists = [(ranking.shelf, ranking.fused(chosen, top)[0]) for ranking in ranked]
        listed = np.concatenate([np.where(rows >= 0, shelf[rows], -2) for shelf, rows in lists])
        hits = np.isin(np.arange(len(users))[:, None] * width + listed, pairs) & (listed >= 0)
        recalls[chosen] = hits.sum(axis=1)[counts > 0] / counts[counts > 0]
    means = {chosen: float(values.mean()) for chosen, values in recalls.items()}
    gains = {chosen: values - recalls[tuple(parts)] for chosen, values in recalls.items()}
    better = [chosen for chosen, gain in gains.items() if gain.mean() > 2 * gain.std() / np.sqrt(len(gain))]
    best = max(better, key=lambda chosen: means[chosen], default=tuple(parts))
    return list(best), {" + ".join(chosen): mean for chosen, mean in means.items()}

"""The recipe of lists that would have served best at past moments, of a small grid around the paper's.

One thing is chosen after the other: how baskets fade, how many neighbours, how much of the user's own. All together
would be five times the work for recipes that differ by less than chance. For the same reason another recipe must be
better than the one it replaces by two standard errors of the difference, paired by user: the best of ten is better than
one of them by one standard error more often than not where all are equally good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.errors import ModelError
from capflow_assets.learning.baskets import Baskets, baskets_of
from capflow_assets.learning.item_frequency import Decay, item_frequencies
from capflow_assets.learning.item_lists import Recipe
from capflow_assets.learning.neighbours import Neighbourhood, ranked_items

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

    from capflow_assets.contract import Examples

# Two of the paper's choices for its data sets, one that does not fade, and two in which each basket is a group.
DECAYS = (
    Decay(7, 0.9, 0.7),
    Decay(3, 0.9, 0.6),
    Decay(1, 1.0, 1.0),
    Decay(30, 0.9, 0.9),
    Decay(50, 0.95, 0.95),
)
NEIGHBOURS = (300, 100)
OWN_SHARES = (0.7, 0.1, 0.3, 0.5, 0.9, 1.0)
# The paper's choice for most of its data sets: where the grid begins, and what holds where there is no past.
USUAL = Recipe(*DECAYS[0], NEIGHBOURS[0], OWN_SHARES[0])
# So many tell two hundredths of recall apart, and cost a second or two.
MOST_USERS = 500


@dataclass(frozen=True, slots=True)
class Past:
    """A past moment: the ``baskets`` known then, the numbers of some ``users``, and what these bought next.

    ``next_items`` are numbers of items, -1 for one that nobody had bought before; each was bought by the user at the
    same place of ``buyers``, which are places in ``users``.
    """

    baskets: Baskets
    users: np.ndarray
    buyers: np.ndarray
    next_items: np.ndarray

    def recalls(self, items: np.ndarray) -> np.ndarray:
        """Of each user the share of what was bought next that was on the user's list: rows of item numbers."""
        width = len(self.baskets.items) + 1
        listed = np.arange(len(self.users))[:, None] * width + items
        hits = np.isin(listed, self.buyers * width + self.next_items) & (items >= 0)
        shares: np.ndarray = hits.sum(axis=1) / np.bincount(self.buyers, minlength=len(self.users))
        return shares


def pasts_of(examples: Examples, table: str, seed: int, most: int = MOST_USERS) -> list[Past]:
    """The past moments of examples whose ``table`` holds line items and whose outcomes are items; see ``past_of``.

    The newest come first, and as many as it takes for ``most`` users: what served best lately is to serve next.

    Raises:
        ModelError: there are no outcomes.
    """
    rows = examples.outcomes
    if rows is None:
        raise ModelError("Lists cannot be learned", expected="what users bought next", came="examples without outcomes")
    # Outcomes say of which moment they are; where each user bought one item, their examples do.
    numbered = next((frame for frame in (rows, examples.columns) if "moment" in frame.columns), None)
    pasts, frames = list[Past](), examples.tables[table]
    for moment in reversed(range(len(frames))):
        room = most - sum(len(past.users) for past in pasts)
        if room <= 0:
            break
        of_moment = rows if numbered is None else rows[(numbered["moment"] == moment).to_numpy()]
        past = past_of(baskets_of(frames[moment]), of_moment, seed, room)
        pasts += [past] if past else []
    return pasts


def past_of(baskets: Baskets, outcomes: pd.DataFrame, seed: int, most: int = MOST_USERS) -> Past | None:
    """A past moment from the rows of its outcomes: index ``user_id``, column ``item_id``; None where nobody is known.

    Of more than ``most`` who had a basket before, so many are drawn by the seed.
    """
    import pandas as pd

    users = np.sort(outcomes.index.unique().to_numpy())
    users = users[baskets.numbers(users) >= 0]
    if len(users) > most:
        users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
    buyers = pd.Index(users).get_indexer(outcomes.index)
    items = pd.Index(baskets.items).get_indexer(pd.Index(outcomes["item_id"]))
    is_drawn = buyers >= 0
    return Past(baskets, baskets.numbers(users), buyers[is_drawn], items[is_drawn]) if len(users) else None


def best_recipe(pasts: list[Past], top: int) -> tuple[Recipe, dict[str, float]]:
    """The recipe of the best recall among the ``top`` at past moments, and the mean recall of all that were tried.

    Without a past it is the ``USUAL`` one, of no known recall.
    """
    if not pasts:
        return USUAL, {}
    trials = {decay: [_Trial.of(past, decay) for past in pasts] for decay in DECAYS}
    recalls: dict[Recipe, np.ndarray] = {}

    def better(chosen: Recipe, others: list[Recipe]) -> Recipe:
        for recipe in (chosen, *others):
            if recipe not in recalls:
                recalls[recipe] = np.concatenate([trial.recalls(recipe, top) for trial in trials[recipe.decay]])
        winners = [recipe for recipe in others if _is_better(recalls[recipe] - recalls[chosen])]
        return max(winners, key=lambda recipe: recalls[recipe].mean(), default=chosen)

    chosen = better(USUAL, [replace(USUAL, **decay._asdict()) for decay in DECAYS])
    chosen = better(chosen, [replace(chosen, neighbours=count) for count in NEIGHBOURS])
    chosen = better(chosen, [replace(chosen, own_share=share) for share in OWN_SHARES])
    return chosen, {str(recipe): float(values.mean()) for recipe, values in recalls.items()}


def _is_better(gains: np.ndarray) -> bool:
    """Whether the mean of the gains is more than two standard errors above 0."""
    return bool(gains.mean() > 2 * gains.std() / np.sqrt(len(gains)))


@dataclass(frozen=True, slots=True)
class _Trial:
    """A past moment whose baskets fade in one way: the users' vectors, and who is near the past's users."""

    past: Past
    vectors: csr_matrix
    near: np.ndarray
    popularity: np.ndarray

    @classmethod
    def of(cls, past: Past, decay: Decay) -> _Trial:
        vectors = item_frequencies(past.baskets, decay)
        near = Neighbourhood.of(vectors).nearest(past.users, max(NEIGHBOURS))
        return cls(past, vectors, near, past.baskets.popularity)

    def recalls(self, recipe: Recipe, top: int) -> np.ndarray:
        near = self.near[:, : recipe.neighbours]
        return self.past.recalls(
            ranked_items(self.vectors, self.past.users, near, self.popularity, recipe.own_share, top)[0]
        )

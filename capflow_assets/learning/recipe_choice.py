"""The recipe of lists that would have served best at past moments, of a small grid.

One thing is chosen after the other: how baskets fade, how many neighbours, how much of the user's own. All together
would be five times the work for recipes that differ by less than chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.errors import ModelError
from capflow_assets.learning.baskets import Baskets, baskets_of
from capflow_assets.learning.item_frequency import Decay, item_frequencies
from capflow_assets.learning.item_lists import Recipe
from capflow_assets.learning.neighbours import Neighbourhood, Popular, ranked_items

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
NEIGHBOURS = (100, 300)
OWN_SHARES = (0.7, 0.1, 0.3, 0.5, 0.9, 1.0)
# What is chosen from first, and what holds where there is no past.
USUAL = Recipe(*DECAYS[0], NEIGHBOURS[0], OWN_SHARES[0])
# Over all moments: a thousand users tell a hundredth of recall apart, and cost seconds at most.
MOST_USERS = 1_000


@dataclass(frozen=True, slots=True)
class Past:
    """A past moment: the ``baskets`` known then, the numbers of the users ``asked`` about, and what they bought next.

    ``came`` are the items by number, -1 for one that nobody had bought before, of the user at ``place`` of ``asked``.
    """

    baskets: Baskets
    asked: np.ndarray
    place: np.ndarray
    came: np.ndarray

    def recall(self, items: np.ndarray) -> float:
        """The mean share of what a user bought next that was on the user's list: rows of item numbers."""
        width = len(self.baskets.items) + 1
        listed = np.arange(len(self.asked))[:, None] * width + items
        hits = np.isin(listed, self.place * width + self.came) & (items >= 0)
        return float(np.mean(hits.sum(axis=1) / np.bincount(self.place, minlength=len(self.asked))))


def pasts_of(examples: Examples, table: str, seed: int) -> list[Past]:
    """The past moments of examples whose ``table`` holds line items and whose outcomes are items; see ``past_of``.

    Raises:
        ModelError: there are no outcomes.
    """
    rows = examples.outcomes
    if rows is None:
        raise ModelError("Lists cannot be learned", expected="what users bought next", came="examples without outcomes")
    # Outcomes say of which moment they are; where each user bought one item, their examples do.
    numbered = next((frame for frame in (rows, examples.columns) if "moment" in frame.columns), None)
    pasts, frames = [], examples.tables[table]
    for place, lines in enumerate(frames):
        of_moment = rows if numbered is None else rows[(numbered["moment"] == place).to_numpy()]
        pasts.append(past_of(baskets_of(lines), of_moment, seed, MOST_USERS // len(frames)))
    return [past for past in pasts if past]


def past_of(baskets: Baskets, outcomes: pd.DataFrame, seed: int, most: int = MOST_USERS) -> Past | None:
    """A past moment from the rows of its outcomes: index ``user_id``, column ``item_id``; None where nobody is known.

    Of more than ``most`` who had a basket before, so many are drawn by the seed.
    """
    import pandas as pd

    users = np.sort(outcomes.index.unique().to_numpy())
    users = users[baskets.numbers(users) >= 0]
    if len(users) > most:
        users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
    place = pd.Index(users).get_indexer(outcomes.index)
    items = pd.Index(baskets.items).get_indexer(pd.Index(outcomes["item_id"]))
    is_asked = place >= 0
    return Past(baskets, baskets.numbers(users), place[is_asked], items[is_asked]) if len(users) else None


def best_recipe(pasts: list[Past], top: int) -> tuple[Recipe, dict[str, float]]:
    """The recipe of the best mean recall among the ``top`` at past moments, and that of all that were tried.

    Of equally good ones the first of the grid. Without a past it is the ``USUAL`` one, of no known recall.
    """
    if not pasts:
        return USUAL, {}
    trials = {decay: [_Trial.of(past, decay) for past in pasts] for decay in DECAYS}
    recalls: dict[Recipe, float] = {}

    def best(recipes: list[Recipe]) -> Recipe:
        for recipe in recipes:
            if recipe not in recalls:
                recalls[recipe] = float(np.mean([trial.recall(recipe, top) for trial in trials[recipe.decay]]))
        return max(recipes, key=lambda recipe: recalls[recipe])

    chosen = best([replace(USUAL, **decay._asdict()) for decay in DECAYS])
    chosen = best([replace(chosen, neighbours=count) for count in NEIGHBOURS])
    chosen = best([replace(chosen, own_share=share) for share in OWN_SHARES])
    return chosen, {str(recipe): recall for recipe, recall in recalls.items()}


@dataclass(frozen=True, slots=True)
class _Trial:
    """A past moment whose baskets fade in one way: the users' vectors, and who is near those who are asked about."""

    past: Past
    vectors: csr_matrix
    near: np.ndarray
    popular: Popular

    @classmethod
    def of(cls, past: Past, decay: Decay) -> _Trial:
        vectors = item_frequencies(past.baskets, decay)
        near = Neighbourhood.of(vectors).nearest(past.asked, max(NEIGHBOURS))
        return cls(past, vectors, near, Popular.of(past.baskets.popularity))

    def recall(self, recipe: Recipe, top: int) -> float:
        near = self.near[:, : recipe.neighbours]
        return self.past.recall(
            ranked_items(self.vectors, self.past.asked, near, self.popular, recipe.own_share, top)[0]
        )

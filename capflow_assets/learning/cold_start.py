"""Who likes items that nobody has bought yet: what users bought as sequences of items, and a net trained on them.

Arrays in, arrays out. Of each user the first purchase of each item counts: what is bought again says nothing of what is
new. A user is known by the items bought on earlier days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.baskets import Baskets

if TYPE_CHECKING:
    from capflow_assets.learning.nets.loop import Course, Plan
    from capflow_assets.learning.nets.two_towers import TwoTowers

# Of a user so many items, the newest, say what the user likes.
HISTORY = 50
# Of an item so many purchases an epoch: what an item is like is to be learned, not which ones sell.
MOST_OF_AN_ITEM = 20
# So many purchases an epoch, drawn anew; so many items stand in a step for those that were not bought.
MOST_PURCHASES, DRAWN = 20_000, 512
USERS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class FirstPurchases:
    """The first purchases of listed items, by user and then by time; those of user u are ``begins[u]:begins[u + 1]``.

    ``item`` are places in the list of items; ``before`` is where the purchases of the same day begin.
    """

    users: np.ndarray
    begins: np.ndarray
    item: np.ndarray
    before: np.ndarray

    @classmethod
    def of(cls, known: Baskets, listed: np.ndarray) -> FirstPurchases:
        """From baskets; ``listed`` are the ids of the list of items, sorted."""
        import pandas as pd

        place = pd.Index(listed).get_indexer(pd.Index(known.items))
        owner = np.repeat(np.arange(len(known.users)), np.diff(known.begins))
        firsts = np.cumsum(known.visits) - known.visits
        visit = known.baskets[owner] - 1 - known.age[firsts] if len(owner) else np.empty(0, dtype="int64")
        item = place[known.item] if len(known.items) else np.empty(0, dtype="int64")
        user, visit, item = (values[item >= 0] for values in (owner, visit, item))
        order = np.lexsort([item, visit, user])
        user, visit, item = user[order], visit[order], item[order]
        is_new_day = (np.diff(user, prepend=-1) != 0) | (np.diff(visit, prepend=-1) != 0)
        before = np.maximum.accumulate(np.where(is_new_day, np.arange(len(user)), 0))
        return cls(known.users, np.searchsorted(user, np.arange(len(known.users) + 1)), item, before)

    @property
    def learnable(self) -> np.ndarray:
        """The places of purchases before which the user had bought something."""
        owner = np.repeat(np.arange(len(self.users)), np.diff(self.begins))
        return np.flatnonzero(self.before > self.begins[owner])

    def profiles(self, begins: np.ndarray, ends: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean numbers of the last ``HISTORY`` purchases of each stretch, and how many they are."""
        from scipy.sparse import csr_matrix

        counts = np.minimum(ends - begins, HISTORY)
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(starts[-1]) - np.repeat(starts[:-1], counts) + np.repeat(ends - counts, counts)
        weights = np.repeat(1 / np.maximum(counts, 1), counts).astype("float32")
        means = csr_matrix((weights, self.item[places], starts), shape=(len(begins), len(numbers)))
        return np.asarray(means @ numbers, dtype="float32"), counts.astype("float32")

    def of_users(self, users: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As ``profiles``, of all that users by their numbers bought; -1 is a user who bought nothing."""
        known = np.maximum(users, 0)
        ends = self.begins[known + 1] if len(self.users) else np.zeros(len(users), dtype="int64")
        begins = self.begins[known] if len(self.users) else ends
        return self.profiles(np.where(users >= 0, begins, ends), ends, numbers)

    def batches(self, numbers: np.ndarray, random: np.random.Generator, size: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Some purchases in some order, ``size`` at a time, as ``nets.two_towers.next_item_loss`` takes them."""
        chosen, sold = random.permutation(self.learnable), np.flatnonzero(np.bincount(self.item))
        chosen = chosen[equal_before(self.item[chosen]) < MOST_OF_AN_ITEM][:MOST_PURCHASES]
        owner = np.repeat(np.arange(len(self.users)), np.diff(self.begins))
        for first in range(0, len(chosen), size):
            some = chosen[first : first + size]
            profiles, counts = self.profiles(self.begins[owner[some]], self.before[some], numbers)
            others = random.choice(sold, min(DRAWN, len(sold)), replace=False)
            yield profiles, counts, numbers[self.item[some]], numbers[others]


def equal_before(numbers: np.ndarray) -> np.ndarray:
    """Of each number, how many equal ones stand before it.

    >>> equal_before(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(numbers, kind="stable")
    firsts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    rank = np.empty(len(numbers), dtype="int64")
    rank[order] = np.arange(len(numbers)) - np.repeat(firsts, np.diff(firsts, append=len(numbers)))
    return rank


@dataclass(frozen=True, slots=True)
class NewItems:
    """What came of new items after a moment: the ``new`` ones (places in the list), and who bought which of them.

    ``buyers`` are places in ``users`` (numbers), ``bought`` places in ``new``.
    """

    new: np.ndarray
    users: np.ndarray
    buyers: np.ndarray
    bought: np.ndarray

    def recall(self, best: np.ndarray) -> float:
        """The mean over the users of the share of what they bought that is among the first of their lists."""
        width = len(self.new) + 1
        listed = np.arange(len(self.users))[:, None] * width + best
        hits = np.isin(listed, self.buyers * width + self.bought) & (best >= 0)
        return float((hits.sum(axis=1) / np.bincount(self.buyers, minlength=len(self.users))).mean())


def trained_towers(
    known: FirstPurchases,
    numbers: np.ndarray,
    shape: tuple[int, float],
    plan: Plan,
    past: NewItems | None = None,
    top: int = 20,
) -> tuple[bytes, Course]:
    """The weights of a net of ``shape`` (size, dropout) that learned from all purchases, and how it went.

    ``past`` says what users bought of new items afterwards: the epoch that serves it best stays; without, the last one.

    Raises:
        EvidenceError: no user bought another item on a later day.
    """
    import torch

    from capflow_assets.errors import EvidenceError
    from capflow_assets.learning.nets.loop import train
    from capflow_assets.learning.nets.two_towers import TwoTowers, next_item_loss
    from capflow_assets.learning.nets.weights import weights_of

    if not len(known.learnable):
        received = f"{len(known.item):,} first purchases of listed items, none after another of the user's"
        raise EvidenceError("Nothing follows on anything", expected="users who bought on two days", came=received)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        net = TwoTowers(numbers.shape[1], *shape)
    score: Callable[[], float] | None = None
    if past is not None:
        judged = past

        def recall() -> float:
            return judged.recall(best_items(net, known, numbers, judged.users, judged.new, top)[0])

        score = recall
    course = train(net, lambda random, size: known.batches(numbers, random, size), next_item_loss, plan, score)
    return weights_of(net), course


def best_items(
    net: TwoTowers, known: FirstPurchases, numbers: np.ndarray, users: np.ndarray, new: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each user, by number, the ``size`` items of ``new`` (places in the list) that are liked most.

    Places in ``new``, -1 where there are no more, and their scores (NaN).
    """
    import torch

    net.eval()
    device = next(net.parameters()).device
    best, scores = np.full((len(users), size), -1, dtype="int64"), np.full((len(users), size), np.nan)
    if not len(new):
        return best, scores
    with torch.inference_mode():
        vectors, wanted = net.items(torch.from_numpy(numbers[new]).to(device))
        for first in range(0, len(users), USERS_AT_ONCE):
            some = users[first : first + USERS_AT_ONCE]
            profiles, counts = (torch.from_numpy(part).to(device) for part in known.of_users(some, numbers))
            liked = (net.users(profiles, counts) @ vectors.T + wanted).float()
            # Those of one score in the order of the list.
            order = torch.topk(liked, min(size, len(new)), sorted=False).indices.sort().values
            values, ranks = torch.sort(liked.gather(1, order), descending=True, stable=True)
            best[first : first + len(some), : order.shape[1]] = order.gather(1, ranks).cpu().numpy()
            scores[first : first + len(some), : order.shape[1]] = values.cpu().numpy()
    return best, scores


def top_places(scores: np.ndarray, size: int) -> np.ndarray:
    """The places of the highest scores of each row, the highest first."""
    count = min(size, scores.shape[1])
    places = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    ranks = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, ranks, axis=1)

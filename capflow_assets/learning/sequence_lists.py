"""Lists of what users buy next by the order of their visits: a net that is trained here, and item-kNN to beat.

Negative sampling is for the training alone; a list is the best of all items that were learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.basket_sequences import BasketRows, basket_rows, learned_items
from capflow_assets.learning.baskets import Baskets
from capflow_assets.learning.item_lists import Lists

if TYPE_CHECKING:
    from collections.abc import Callable

    from capflow_assets.learning.nets.basket_attention import BasketAttention
    from capflow_assets.learning.nets.checkpoints import Checkpoint
    from capflow_assets.learning.nets.loop import Course, Plan
    from capflow_assets.learning.recipe_choice import Past

FOLLOWS = "follows on visits like the user's last"
TOP = 10
# Rows of one size, so that what a user gets does not depend on who else is asked about.
USERS_AT_ONCE, SCORES_AT_ONCE = 256, 2**22


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a net is: ``visits`` that it looks back on, numbers a vector has, blocks of attention, their heads."""

    visits: int = 20
    size: int = 32
    blocks: int = 1
    heads: int = 2
    dropout: float = 0.2

    def net(self, items: int) -> BasketAttention:
        """A net of so many items, its weights drawn from torch's random numbers."""
        from capflow_assets.learning.nets.basket_attention import BasketAttention

        return BasketAttention(items, self.visits, self.size, self.blocks, self.heads, self.dropout)


@dataclass(frozen=True, slots=True)
class SequenceNet:
    """A trained net as plain values: the ids of its ``items``, most frequent first, and ``weights`` (safetensors)."""

    items: np.ndarray
    weights: bytes


def trained_sequences(
    known: Baskets, shape: Shape, plan: Plan, past: Past | None = None, checkpoint: Checkpoint | None = None
) -> tuple[SequenceNet, Course]:
    """A net trained on all baskets. ``past`` says what users bought after them: the epoch that serves it best stays.

    Without a ``past`` the last epoch stays.

    Raises:
        EvidenceError: no user has two baskets.
    """
    import torch

    from capflow_assets.errors import EvidenceError
    from capflow_assets.learning.nets.basket_attention import next_basket_loss
    from capflow_assets.learning.nets.loop import train
    from capflow_assets.learning.nets.weights import weights_of

    rows = basket_rows(known, learned_items(known))
    stretches = rows.stretches(shape.visits)
    if not len(stretches[0]) or not len(rows.items):
        raise EvidenceError("Nothing follows on anything", expected="users with two baskets", came="none")
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        net = shape.net(len(rows.items))
        net.popular.data[1:] = torch.from_numpy(rows.log_shares)
    score: Callable[[], float] | None = None
    if past is not None:
        judged = past

        def recall() -> float:
            best = _best_items(net, rows, shape.visits, judged.users, TOP)[0]
            return float(judged.recalls(np.where(best >= 0, _numbers(judged.baskets, rows.items)[best], -1)).mean())

        score = recall
    course = train(
        net,
        lambda random, size: rows.batches(stretches, shape.visits, random, size),
        next_basket_loss,
        plan,
        score,
        checkpoint,
    )
    return SequenceNet(rows.items.astype(str), weights_of(net)), course


def sequence_lists(trained: SequenceNet, shape: Shape, known: Baskets, asked: np.ndarray, size: int) -> Lists:
    """The ``size`` items that come next for users by their numbers; -1 is a user without a basket.

    Those without a basket of learned items get what is popular, and so do lists for which too few items were learned.
    """
    from capflow_assets.learning.nets.devices import repeatable
    from capflow_assets.learning.nets.weights import with_weights

    items = trained.items.astype(object)
    rows = basket_rows(known, items)
    net = with_weights(shape.net(len(items)), trained.weights)
    with repeatable(1):
        best, scores = _best_items(net, rows, shape.visits, asked, size)
    numbers = np.append(_numbers(known, items), -1)
    return _filled(Lists(numbers[best], scores, np.zeros(len(asked), dtype="int32")), known.popularity)


def neighbour_lists(known: Baskets, asked: np.ndarray, size: int, threads: int = 1) -> Lists:
    """Lists by item-kNN: the user's items and those that are bought by the same users, by the cosine of their buyers.

    B. Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001; an item is its own
    nearest neighbour, so that what the user bought often is listed again.
    """
    from scipy.sparse import csr_matrix, identity

    from capflow_assets.learning.item_space import LEAST_BUYERS, LearnedItems, similarities
    from capflow_assets.learning.neighbours import ranked_items

    shape = (len(known.users), len(known.items))
    own = csr_matrix((np.log1p(known.visits).astype("float32"), known.item, known.begins), shape=shape)
    buyers = np.bincount(known.item, minlength=len(known.items))
    is_learned = buyers >= LEAST_BUYERS
    learned = LearnedItems(known.items, own.multiply(is_learned[None, :]).tocsr())
    learned.purchases.eliminate_zeros()
    near = similarities(learned, threads) + identity(shape[1], dtype="float32", format="csr")
    lists = []
    for first in range(0, max(1, len(asked)), USERS_AT_ONCE):
        some = asked[first : first + USERS_AT_ONCE]
        vectors = (own[np.maximum(some, 0)] @ near).tocsr() if len(known.users) else csr_matrix((len(some), shape[1]))
        vectors.sort_indices()
        nobody = np.empty((len(some), 0), dtype="int32")
        places = np.where(some >= 0, np.arange(len(some)), -1)
        lists.append(Lists(*ranked_items(vectors, places, nobody, known.popularity, 1.0, size)))
    return Lists(*(np.concatenate([getattr(one, name) for one in lists]) for name in ("items", "scores", "scored")))


def _best_items(
    net: BasketAttention, rows: BasketRows, visits: int, users: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each user the best of all learned items, as places in ``rows.items``, and their scores; -1 without a past."""
    import torch

    net.eval()
    count = min(size, len(rows.items))
    best = np.full((len(users), size), -1, dtype="int64")
    scores = np.full((len(users), size), np.nan, dtype="float32")
    at_once = max(1, min(USERS_AT_ONCE, SCORES_AT_ONCE // max(1, len(rows.items))))
    device = next(net.parameters()).device
    for first in range(0, len(users), at_once):
        some = users[first : first + at_once]
        padded = np.append(some, np.full(at_once - len(some), -1))
        baskets = rows.newest(padded, visits)
        with torch.inference_mode():
            values = net(torch.from_numpy(baskets).to(device)).float().cpu().numpy()[: len(some)]
        # Of equal scores the more frequent item comes first.
        order = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
        ranks = np.argsort(-np.take_along_axis(values, order, axis=1), axis=1, kind="stable")
        order = np.take_along_axis(order, ranks, axis=1)
        has_past = (baskets[: len(some)] > 0).reshape(len(some), -1).any(axis=1, keepdims=True)
        best[first : first + at_once, :count] = np.where(has_past, order, -1)
        listed = np.where(has_past, np.take_along_axis(values, order, axis=1), np.nan)
        scores[first : first + at_once, :count] = listed
    return best, scores


def _numbers(known: Baskets, items: np.ndarray) -> np.ndarray:
    """The number of each item id among the baskets; -1 where nobody bought it."""
    import pandas as pd

    return pd.Index(known.items).get_indexer(pd.Index(items)).astype("int64")


def _filled(lists: Lists, popularity: np.ndarray) -> Lists:
    """With popular items where a list ends early, below what stands there; items are numbered by their popularity."""
    size = lists.items.shape[1]
    items, scores = lists.items.astype("int32"), lists.scores.copy()
    scored = (items >= 0).sum(axis=1).astype("int32")
    for row in np.flatnonzero(scored < min(size, len(popularity))):
        is_listed = items[row] >= 0
        own, values = items[row][is_listed], scores[row][is_listed]
        others = np.setdiff1d(np.arange(min(len(popularity), size + len(own))), own)[: size - len(own)]
        lowest = values.min() if len(own) else 1.0
        items[row] = np.pad(np.concatenate([own, others]), (0, size - len(own) - len(others)), constant_values=-1)
        below = lowest - 1.0 + popularity[others].astype("float32")
        scores[row] = np.pad(
            np.concatenate([values, below]), (0, size - len(own) - len(others)), constant_values=np.nan
        )
    return Lists(items, scores, scored)

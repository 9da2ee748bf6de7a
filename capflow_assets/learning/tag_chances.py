"""The chance of each tag of an item by its vectors, honest for items whose tag is known: none is answered by its own.

Each kind of vector (texts, pictures) has a ridge regression on the tags (B. Schölkopf, A. Smola, "Learning with
Kernels", 2002, 16.1), whose scores become chances by one temperature. Penalty, temperature and how much each kind
counts are those under which the tags of the items learned from are likeliest, each answered without itself, in closed
form: ``(y_hat - h y) / (1 - h)`` with the leverage h. Items whose tag is known are answered in folds: by what was
learned, calibrated and weighed on the items of the other folds alone. Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FOLDS = 5
PENALTIES = (0.03, 0.3, 3.0)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
# The best one is looked for between its neighbours once more.
BETWEEN = (0.59, 0.71, 0.84, 1.0, 1.19, 1.41, 1.68)
# How much of a kind's logits counts where an item has several kinds.
SHARES = (0.0, 0.5, 1.0)
MOST_LEARNED, MOST_DIMENSIONS = 10_000, 256
LEAST_CHANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Tagger:
    """What was learned of one kind of vectors: weights (dimensions, tags), the tags' shares, and a temperature."""

    weights: np.ndarray
    shares: np.ndarray
    temperature: float

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Of each vector how likely each tag is, on a scale of logarithms: (vectors, tags)."""
        return self.temperature * (vectors @ self.weights + self.shares)


def tag_chances(kinds: Mapping[str, np.ndarray], codes: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each item the likeliest tag (its code) and the chance of it.

    Args:
        kinds: the vectors by kind, (items, dimensions); rows of 0 say nothing.
        codes: the known tags as numbers from 0 without a gap; -1 where none is known.
        fold: the fold of each item, 0 to ``FOLDS - 1``.
    """
    import numpy as np

    best, chance = np.zeros(len(codes), dtype="int64"), np.zeros(len(codes))
    for number in range(-1, FOLDS):
        asked = np.flatnonzero((codes < 0) if number < 0 else ((codes >= 0) & (fold == number)))
        learned = np.flatnonzero((codes >= 0) & (fold != number))
        if len(asked):
            best[asked], chance[asked] = _answered(kinds, codes, learned, asked)
    return best, chance


def compact(vectors: np.ndarray) -> np.ndarray:
    """The rows less their mean, at length 1, in at most ``MOST_DIMENSIONS``: the directions of the greatest variance.

    Rows of 0 stay so, and where all others are equal, all become so.
    """
    import numpy as np

    is_known = np.abs(vectors).sum(axis=1) > 0
    rows = vectors.astype(float)
    if not is_known.any():
        return rows
    rows[is_known] -= rows[is_known].mean(axis=0)
    if rows.shape[1] > MOST_DIMENSIONS:
        _, directions = np.linalg.eigh(rows.T @ rows)
        rows = rows @ directions[:, ::-1][:, :MOST_DIMENSIONS]
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    unit: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-6)
    return unit


def _answered(
    kinds: Mapping[str, np.ndarray], codes: np.ndarray, learned: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest tag and its chance of the items ``asked``, by the items ``learned``."""
    import numpy as np

    count = int(codes.max()) + 1
    shares = (np.bincount(codes[learned], minlength=count) + 1) / (len(learned) + count)
    own, others = dict[str, np.ndarray](), dict[str, np.ndarray]()
    for kind, vectors in kinds.items():
        has_any = np.abs(vectors).sum(axis=1) > 0
        rows = learned[has_any[learned]][:MOST_LEARNED]
        if len(np.unique(codes[rows])) < 2:
            continue
        tagger, left_out = learned_tagger(vectors[rows], codes[rows], count)
        own[kind], others[kind] = np.zeros((len(learned), count)), np.zeros((len(asked), count))
        own[kind][np.searchsorted(learned, rows)] = left_out
        others[kind][has_any[asked]] = tagger.logits(vectors[asked[has_any[asked]]])
    weights, logits = _weights(list(own.values()), codes[learned]), list(others.values())
    has_kind = np.array([np.abs(one).sum(axis=1) > 0 for one in logits] or [[False] * len(asked)])
    # How much kinds count against each other is for items that have all; of another each that it has counts whole.
    shares_of = np.where(has_kind.all(axis=0), np.array(weights or [1.0])[:, None], 1.0)[:, :, None]
    total = (shares_of * np.array(logits)).sum(axis=0) if logits else np.zeros((len(asked), count))
    total[~has_kind.any(axis=0)] = np.log(shares)
    chances = _softmax(total)
    best = chances.argmax(axis=1)
    return best, chances[np.arange(len(asked)), best]


def learned_tagger(vectors: np.ndarray, codes: np.ndarray, count: int) -> tuple[Tagger, np.ndarray]:
    """The regression under which the tags are likeliest, each left out, and the logits of each left out."""
    import numpy as np

    tags = np.zeros((len(codes), count))
    tags[np.arange(len(codes)), codes] = 1
    shares = tags.mean(axis=0)
    left, sizes, right = np.linalg.svd(vectors, full_matrices=False)

    def left_out(penalty: float) -> np.ndarray:
        shrunk = sizes**2 / (sizes**2 + penalty)
        leverage = np.clip(((left**2) * shrunk).sum(axis=1), 0, 0.999)[:, None]
        fitted = (left * shrunk) @ (left.T @ (tags - shares))
        scores: np.ndarray = (fitted - leverage * (tags - shares)) / (1 - leverage) + shares
        return scores

    scores = {penalty: left_out(penalty) for penalty in PENALTIES}
    tried = list(product(PENALTIES, TEMPERATURES))
    penalty, coarse = max(tried, key=lambda pair: _log_likelihood(pair[1] * scores[pair[0]], codes))
    fine = [coarse * step for step in BETWEEN]
    temperature = max(fine, key=lambda value: _log_likelihood(value * scores[penalty], codes))
    weights = right.T @ ((sizes / (sizes**2 + penalty))[:, None] * (left.T @ (tags - shares)))
    return Tagger(weights, shares, temperature), temperature * scores[penalty]


def _weights(logits: Sequence[np.ndarray], codes: np.ndarray) -> tuple[float, ...]:
    """How much each kind counts: as makes the tags of the items that have all kinds likeliest; 1 for a single one."""
    import numpy as np

    if len(logits) < 2:
        return (1.0,) * len(logits)
    has_all = np.all([np.abs(one).sum(axis=1) > 0 for one in logits], axis=0)
    if not has_all.any():
        return (1.0,) * len(logits)
    ways = [way for way in product(SHARES, repeat=len(logits)) if any(way)]

    def likelihood(way: tuple[float, ...]) -> float:
        total = sum((share * one[has_all] for share, one in zip(way, logits, strict=True)), np.zeros(1))
        return _log_likelihood(total, codes[has_all])

    return max(ways, key=likelihood)


def _log_likelihood(logits: np.ndarray, codes: np.ndarray) -> float:
    import numpy as np

    chances = _softmax(logits)[np.arange(len(codes)), codes]
    return float(np.log(np.maximum(chances, LEAST_CHANCE)).mean())


def _softmax(logits: np.ndarray) -> np.ndarray:
    import numpy as np

    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return chances

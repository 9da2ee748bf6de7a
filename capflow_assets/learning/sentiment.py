"""How likely a text is praise: a linear model over its words or its vector, or a list of kind and unkind words.

Words are counted in places by a digest (feature hashing), so that a model keeps numbers and nobody's words; which of a
text's words moved the answer is read off the text that is answered for. The strength of the penalty is chosen on the
newest quarter of what is learned from, and chances are calibrated on scores that were crossed.

K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from capflow_assets.learning.calibration import Calibrator, fit_calibrator
from capflow_assets.learning.review_words import balances, grams, listed, tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PLACES = 1 << 15
STRENGTHS = (1.0, 10.0)
FOLDS = 3
# In log-odds: words that moved a chance by less are not worth telling.
LEAST_WORTH = 0.05
# Where nobody has said what is praise: what one kind word more than unkind ones adds to the log-odds.
WORD_WORTH = 1.0
CALIBRATIONS = ("none", "platt")
MOST_TEXTS = 30_000


@dataclass(frozen=True)
class LinearWords:
    """A fitted model over the balance of kind words, and over places of words or the numbers of a vector.

    ``weights`` has 2 numbers, then PLACES or those of a vector.
    """

    weights: np.ndarray
    intercept: float
    calibrator: Calibrator

    def chances(self, words: Sequence[Sequence[str]], vectors: np.ndarray | None) -> np.ndarray:
        """The chance of praise of each text, as its tokens and its vector, or none, as it was fitted."""
        from scipy.special import expit

        return self.calibrator.apply(expit(_features(words, vectors) @ self.weights + self.intercept))

    def telling(self, words: Sequence[str], count: int) -> list[tuple[str, float]]:
        """The words of a text that moved it most, each with what it added to the log-odds."""
        parts = set(grams(words))
        worth = {part: float(self.weights[2 + _place(part)]) / len(parts) ** 0.5 for part in parts}
        said = listed(words)
        for word, sign in said:
            alike = sum(other == sign for _, other in said)
            worth[word] += float(self.weights[0 if sign > 0 else 1]) * float(np.log1p(alike)) / alike
        best = sorted(filter(_may_tell, parts), key=lambda part: (-abs(worth[part]), part))[:count]
        return [(part, worth[part]) for part in best if abs(worth[part]) > LEAST_WORTH]


def fitted_words(words: Sequence[Sequence[str]], vectors: np.ndarray | None, praise: np.ndarray) -> LinearWords:
    """Learn from texts, oldest first, of which some are praise (1) and some complaints (0), both among them.

    Of more than MOST_TEXTS the newest are learned from. ``vectors`` has a row for each text; words are counted where
    there are none.
    """
    praise = praise[-MOST_TEXTS:]
    features = _features(words[-MOST_TEXTS:], None if vectors is None else vectors[-MOST_TEXTS:])
    cut = max(1, len(praise) * 3 // 4)
    older, newer = np.arange(cut), np.arange(cut, len(praise))
    strength = STRENGTHS[0]
    if _has_both(praise[older]) and _has_both(praise[newer]):
        losses = [_loss(praise[newer], _scores(features, praise, older, newer, value)) for value in STRENGTHS]
        strength = STRENGTHS[int(np.argmin(losses))]
    crossed = np.full(len(praise), np.nan)
    # Praise and complaints in turn, so that no fold lacks one of them.
    order = np.argsort(praise, kind="stable")
    for fold in range(FOLDS):
        held_out = np.sort(order[fold::FOLDS])
        rest = np.setdiff1d(np.arange(len(praise)), held_out)
        if len(held_out) and _has_both(praise[rest]):
            crossed[held_out] = _scores(features, praise, rest, held_out, strength)
    is_known = np.isfinite(crossed)
    weights, intercept = _fit(features, praise, strength)
    if not _has_both(praise[is_known]):
        return LinearWords(weights, intercept, Calibrator("none", len(praise), int(praise.sum())))
    return LinearWords(weights, intercept, fit_calibrator(praise[is_known], crossed[is_known], CALIBRATIONS))


def kind_chances(words: Sequence[Sequence[str]], slope: float = WORD_WORTH, intercept: float = 0.0) -> np.ndarray:
    """The chance of praise by the list of words alone; a half where a text has none of them."""
    from scipy.special import expit

    counts = balances(words)
    return np.asarray(expit(intercept + slope * (counts[:, 0] - counts[:, 1])))


def fitted_list(words: Sequence[Sequence[str]], praise: np.ndarray) -> tuple[float, float]:
    """What a kind word more adds to the log-odds of praise, and where they begin, as served these texts best."""
    from scipy.sparse import csr_matrix

    counts = balances(words)
    weights, intercept = _fit(csr_matrix((counts[:, 0] - counts[:, 1])[:, None]), praise, STRENGTHS[0])
    return max(float(weights[0]), 1e-3), intercept


def reason(words: Sequence[str], telling: Sequence[tuple[str, float]], otherwise: str = "") -> str:
    """Which of a text's words spoke for praise, and which against; ``otherwise`` where none did.

    >>> reason(["late", "but", "lovely"], [("lovely", 1.2), ("late", -0.4)])
    'for it: "lovely"; against it: "late"'
    """
    if not words:
        return "it has no word"
    for_it = ", ".join(f'"{word}"' for word, worth in telling if worth > 0)
    against = ", ".join(f'"{word}"' for word, worth in telling if worth < 0)
    said = [f"for it: {for_it}" if for_it else "", f"against it: {against}" if against else ""]
    return "; ".join(part for part in said if part) or otherwise


def listed_telling(words: Sequence[str]) -> list[tuple[str, float]]:
    """As ``LinearWords.telling``, by the list of words."""
    return [(word, float(sign)) for word, sign in dict(listed(words)).items()]


def tokens_of(texts: Sequence[object]) -> list[list[str]]:
    """The tokens of each text; none of what is no text."""
    return [tokens(text) if isinstance(text, str) else [] for text in texts]


def _may_tell(part: str) -> bool:
    return len(part) > 2 or not part.isascii()


def _place(part: str) -> int:
    return crc32(part.encode()) % PLACES


def _features(words: Sequence[Sequence[str]], vectors: np.ndarray | None) -> csr_matrix:
    """The balance of kind words beside the vectors, or beside the words counted, to length 1."""
    from scipy.sparse import csr_matrix, hstack

    balance = csr_matrix(np.log1p(balances(words)))
    said = _counted(words) if vectors is None else csr_matrix(vectors)
    return hstack([balance, said], format="csr")


def _counted(words: Sequence[Sequence[str]]) -> csr_matrix:
    from scipy.sparse import csr_matrix

    places = [np.unique([_place(part) for part in grams(of_text)]).astype(np.int64) for of_text in words]
    ends = np.cumsum([0, *map(len, places)])
    values = np.repeat([1 / max(len(of_text), 1) ** 0.5 for of_text in places], np.diff(ends))
    return csr_matrix((values, np.concatenate([np.empty(0, dtype=np.int64), *places]), ends), (len(places), PLACES))


def _fit(features: csr_matrix, praise: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    # What no text has would stay at 0 and only cost time.
    used = np.flatnonzero(np.diff(features.tocsc().indptr))
    if not len(used):  # no text says anything: of each the share of praise is known, and no more
        share = (float((praise > 0).sum()) + 1) / (len(praise) + 2)
        return np.zeros(features.shape[1]), float(np.log(share / (1 - share)))
    fitted = LogisticRegression(C=strength, max_iter=300).fit(features[:, used], praise > 0)
    weights = np.zeros(features.shape[1])
    weights[used] = fitted.coef_[0]
    return weights, float(fitted.intercept_[0])


def _scores(
    features: csr_matrix, praise: np.ndarray, rest: np.ndarray, asked: np.ndarray, strength: float
) -> np.ndarray:
    from scipy.special import expit

    weights, intercept = _fit(features[rest], praise[rest], strength)
    return np.asarray(expit(features[asked] @ weights + intercept))


def _loss(praise: np.ndarray, chances: np.ndarray) -> float:
    of_class = np.where(praise > 0, chances, 1 - chances)
    return float(-np.log(of_class.clip(1e-9)).mean())


def _has_both(praise: np.ndarray) -> bool:
    return bool((praise > 0).any() and (praise <= 0).any())

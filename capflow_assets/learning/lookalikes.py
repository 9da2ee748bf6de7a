"""Who is like the users of an audience: learning from positives and from users of whom nobody said anything.

Who is not in the audience is no negative: some of them belong to it and were never asked. Elkan & Noto ("Learning
classifiers from only positive and unlabeled data", KDD 2008) learn who is labelled and divide by the chance ``c`` that
one who belongs is labelled (eq. 1, ``c`` by estimator e1 on labelled users held out). Mordelet & Vert ("A bagging SVM
to learn from positive and unlabeled examples", 2014) learn the positives against many small draws of the others, in
each of which few belong, and take the mean.

Half of the audience, by a digest of the user's id, is hidden from a training, and by those it is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self
from zlib import crc32

from pydantic import Field

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.boosting import BOOSTER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Of fewer users of an audience nothing can be learned, and half of them are hidden.
LEAST_SEEDS = 20
HELD_OUT_SHARE = 0.2
QUANTILES = 21
IS_SEED, IS_HIDDEN = "is_in_audience", "is_hidden"


class LookalikeParams(Horizon):
    """What a person may set for look-alikes."""

    audience: str = Field(
        "",
        max_length=200,
        pattern=r"^$|^[^=]+=.*$",
        description="Whom to look like: attribute=value of clean/users; left empty, those who spent most of late.",
    )
    top_share: float = Field(0.1, gt=0, le=0.5, description="Share of the users who are the top spenders.")
    rounds: int = Field(80, ge=1, le=2000, description="Trees of the classifier that is divided by c.")
    bags: int = Field(20, ge=1, le=500, description="Draws of the unlabelled users.")
    threads: int = Field(2, ge=1, le=64, description="Threads; change it and scores may differ in the last digits.")


class Lookalikes:
    """What all ways share: who the audience is, who is hidden, and columns as places among all users.

    ``words`` are the columns that are read, each with a text for its value; ``spend`` is the column by which top
    spenders are told, ``traits`` the table that has the attributes of users.
    """

    saved_types: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: LookalikeParams, words: Mapping[str, str], spend: str, traits: str) -> None:
        self.params, self.words, self.spend, self.traits = params, dict(words), spend, traits
        self.hides = True
        self.least_spend = 0.0
        self.edges: np.ndarray | None = None
        self.seeds = 0

    def fit(self, examples: Examples) -> Self:
        """Learn the audience from the half that is not hidden.

        Raises:
            EvidenceError: the audience has too few users, is everybody, or is of an attribute that there is not.
        """
        import numpy as np

        from capflow_assets.learning.frames import in_order

        ordered = in_order(examples)
        spend = self._spend(ordered)
        self.least_spend = float(np.quantile(spend, 1 - self.params.top_share)) if len(spend) else 0.0
        is_seed = self._is_seed(ordered)
        is_labelled = is_seed & ~_is_hidden(ordered) if self.hides else is_seed
        _require(self.params.audience, is_seed, is_labelled)
        values = self._values(ordered)
        filled = np.where(np.isnan(values).all(axis=0), 0.0, values)
        self.edges = np.nanquantile(filled, np.linspace(0, 1, QUANTILES), axis=0)
        self.seeds = int(is_labelled.sum())
        self._learn(self._places(values), is_labelled)
        return self

    def refit(self, examples: Examples) -> Self:
        """Another of the same recipe, fitted to the whole audience."""
        again = type(self)(self.params, self.words, self.spend, self.traits)
        again.hides = False
        return again.fit(examples)

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score`` from 0 to 1, who is in the audience, who of it was hidden from the training, and reasons."""
        from capflow_assets.learning.explanations import reasons

        values, answers = self._values(examples), self.figures(examples)
        if not len(answers):
            return answers.assign(reasons="")
        import pandas as pd

        state = pd.DataFrame(values, examples.columns.index, list(self.words))
        texts = reasons(state, self._contributions(self._places(values)), self.words)
        return answers.assign(reasons=pd.Series(texts, index=state.index, dtype=object))

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without reasons."""
        import numpy as np
        import pandas as pd

        places = self._places(self._values(examples))
        score = self._score(places) if len(places) else np.empty(0)
        is_seed = self._is_seed(examples)
        is_hidden = is_seed & _is_hidden(examples) & self.hides
        columns = {"score": score, IS_SEED: is_seed.astype(int), IS_HIDDEN: is_hidden.astype(int)}
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """What was set, and how many users of the audience were learned from."""
        return {**self.params.model_dump(), "audience_users": self.seeds}

    def _spend(self, examples: Examples) -> np.ndarray:
        from capflow_assets.learning.frames import matrix

        return matrix(examples.columns, (self.spend,))[self.spend].fillna(0.0).to_numpy()

    def _is_seed(self, examples: Examples) -> np.ndarray:
        """Who is in the audience. Top spenders are those above the line of the training."""
        import numpy as np

        if not self.params.audience:
            spend = self._spend(examples)
            return np.asarray((spend >= self.least_spend) & (spend > 0))
        name, _, value = (part.strip() for part in self.params.audience.partition("="))
        users = examples.table(self.traits)
        if name not in users.columns:
            raise EvidenceError(
                f"The audience {self.params.audience!r} cannot be told",
                expected=f"an attribute among {', '.join(sorted(map(str, users.columns)))}",
                came=name,
                do=f"map the column to raw/users.{name}, or name another audience",
            )
        members = users.loc[users[name].astype(str).str.strip() == value, "user_id"]
        return np.asarray(examples.columns.index.isin(members))

    def _values(self, examples: Examples) -> np.ndarray:
        from capflow_assets.learning.frames import matrix

        values: np.ndarray = matrix(examples.columns, tuple(self.words)).to_numpy()
        return values

    def _places(self, values: np.ndarray) -> np.ndarray:
        """Where each value stands among the training's users, from -1 to 1; 0 where it is unknown."""
        import numpy as np

        from capflow_assets.learning.frames import fitted

        edges = fitted(self.edges, type(self).__name__)
        steps = np.linspace(-1, 1, QUANTILES)
        places = np.empty_like(values)
        for column in range(values.shape[1]):
            corner, first = np.unique(edges[:, column], return_index=True)
            # Where many share a value it stands in the middle of them.
            last = QUANTILES - 1 - np.unique(edges[::-1, column], return_index=True)[1]
            places[:, column] = np.interp(values[:, column], corner, (steps[first] + steps[last]) / 2)
        return np.nan_to_num(places)

    def _learn(self, places: np.ndarray, is_labelled: np.ndarray) -> None:
        raise NotImplementedError

    def _score(self, places: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _contributions(self, places: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class LikeTheMean(Lookalikes):
    """The cosine to the mean of the audience, of places among all users: the rule that a model has to beat."""

    def _learn(self, places: np.ndarray, is_labelled: np.ndarray) -> None:
        self.mean = places[is_labelled].mean(axis=0)

    def _score(self, places: np.ndarray) -> np.ndarray:
        import numpy as np

        lengths = np.linalg.norm(places, axis=1) * np.linalg.norm(self.mean)
        score: np.ndarray = (1 + places @ self.mean / np.maximum(lengths, 1e-12)) / 2
        return score

    def _contributions(self, places: np.ndarray) -> np.ndarray:
        return places * self.mean


class ElkanNoto(Lookalikes):
    """Who is labelled, by boosted trees, divided by the chance that one who belongs is."""

    saved_types: ClassVar[tuple[str, ...]] = (BOOSTER,)

    def _learn(self, places: np.ndarray, is_labelled: np.ndarray) -> None:
        import numpy as np
        import xgboost

        random = np.random.default_rng(self.params.seed)
        is_held_out = is_labelled & (random.random(len(places)) < HELD_OUT_SHARE)
        is_used = ~is_held_out
        settings = {"objective": "binary:logistic", "tree_method": "hist", "learning_rate": 0.08, "max_depth": 3}
        settings |= {"min_child_weight": 5.0, "lambda": 5.0, "subsample": 0.8}
        settings |= {"seed": self.params.seed, "nthread": self.params.threads}
        data = xgboost.DMatrix(places[is_used], label=is_labelled[is_used].astype(float), nthread=self.params.threads)
        self.trees = xgboost.train(settings, data, num_boost_round=self.params.rounds)
        known = places[is_held_out if is_held_out.any() else is_labelled]
        self.labelled_share = float(np.clip(self._labelled(known).mean(), 1e-3, 1.0))

    def _labelled(self, places: np.ndarray) -> np.ndarray:
        import xgboost

        return self.trees.predict(xgboost.DMatrix(places, nthread=self.params.threads)).astype(float)

    def _score(self, places: np.ndarray) -> np.ndarray:
        """``g / c`` where it is below 1/2, and above that an even way to 1, so that no two orders become one."""
        import numpy as np

        ratio = self._labelled(places) / self.labelled_share
        return np.where(ratio < 0.5, ratio, 1 - 0.25 / np.maximum(ratio, 0.5))

    def _contributions(self, places: np.ndarray) -> np.ndarray:
        import pandas as pd

        from capflow_assets.learning.tree_shap import contributions

        return contributions(self.trees, pd.DataFrame(places), self.params.threads)

    def parameters(self) -> dict[str, Any]:
        """Also ``c``."""
        return {**super().parameters(), "labelled_share": round(float(getattr(self, "labelled_share", 0.0)), 4)}


class BaggedUnlabelled(Lookalikes):
    """Logistic regressions of the audience against as many drawn from the others, again and again; their mean."""

    def _learn(self, places: np.ndarray, is_labelled: np.ndarray) -> None:
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        random = np.random.default_rng(self.params.seed)
        wide, others = _wide(places), np.flatnonzero(~is_labelled)
        labelled, weights = wide[is_labelled], []
        for _ in range(self.params.bags):
            drawn = wide[random.choice(others, min(len(labelled), len(others)), replace=True)]
            label = np.repeat([1, 0], [len(labelled), len(drawn)])
            model = LogisticRegression(C=0.3, max_iter=300).fit(np.concatenate([labelled, drawn]), label)
            weights.append(np.append(model.coef_[0], model.intercept_))
        self.weights = np.array(weights)

    def _score(self, places: np.ndarray) -> np.ndarray:
        from scipy.special import expit

        score: np.ndarray = expit(_wide(places) @ self.weights[:, :-1].T + self.weights[:, -1]).mean(axis=1)
        return score

    def _contributions(self, places: np.ndarray) -> np.ndarray:
        count, weight = places.shape[1], self.weights[:, :-1].mean(axis=0)
        parts: np.ndarray = places * weight[:count] + (places**2 - 1 / 3) * weight[count:]
        return parts


def _wide(places: np.ndarray) -> np.ndarray:
    """Places and their squares, so that an audience may stand in the middle."""
    import numpy as np

    return np.concatenate([places, places**2 - 1 / 3], axis=1)


def _is_hidden(examples: Examples) -> np.ndarray:
    import numpy as np

    return np.array([crc32(str(user).encode()) % 2 == 0 for user in examples.columns.index], dtype=bool)


def _require(audience: str, is_seed: np.ndarray, is_labelled: np.ndarray) -> None:
    count = int(is_seed.sum())
    if count < LEAST_SEEDS or not is_labelled.any() or count == len(is_seed):
        raise EvidenceError(
            f"The audience {audience or 'of top spenders'} cannot be learned",
            expected=f"at least {LEAST_SEEDS} users in it, and some who are not",
            came=f"{count} of {len(is_seed)} users",
            do="name another audience (audience = attribute=value), or wait for more users",
        )

"""What callers want, by their recordings: a small net over spectrograms, or a linear model over cepstral means.

What was recorded in the newest ``horizon_days`` is never learned from: it is what a model is judged by. How sure a
chance is, is learned on all speakers, each kept out of one fit: one voice alone may be far easier than others, or far
harder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import ModelError
from capflow_assets.learning.call_labels import heard_recordings, learned_recordings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

UNSURE = "unsure"


class CallIntentParams(Horizon):
    """What a person may set for the intents of calls."""

    horizon_days: int = Field(28, ge=1, le=365, description="Local days whose newest labels judge and teach nothing.")
    moments: int = Field(3, ge=1, le=24, description="How many past as-of moments candidates are chosen by.")
    nets: int = Field(2, ge=1, le=20, description="How many nets learn from all recordings, each of its own seed.")
    folds: int = Field(5, ge=2, le=20, description="In how many parts speakers are kept out of one net each, in turn.")
    channels: int = Field(32, ge=4, le=512, description="How wide a net is.")
    epochs: int = Field(20, ge=1, le=1000, description="How often a net hears all recordings at most.")
    seconds: float = Field(120, gt=0, le=86_400, description="Seconds that the training of all nets may take.")
    batch: int = Field(32, ge=2, le=4096, description="Recordings a step of the training, on a CPU.")
    rate: float = Field(0.006, gt=0, le=1, description="Step of the training at its begin.")
    least_chance: float = Field(0.5, ge=0, le=1, description="Below it an answer says unsure.")


class CallClassifier:
    """What both candidates share: the intents, how chances are made honest, and the answers.

    A kind says what one fit learns (``_fitted``), which chances some fits give together (``_chances``), which of them
    stay (``_keep``), and which have (``_kept``).
    """

    def __init__(self, params: CallIntentParams) -> None:
        self.params = params
        self.intents: list[str] = []
        self.sharpness = 1.0
        self.encoder = ""
        self.counts: dict[str, int] = {}

    def fit(self, examples: Examples) -> CallClassifier:
        """Learn from the labelled recordings that are older than the horizon.

        Raises:
            EvidenceError: they are too few, or of one intent.
        """
        import numpy as np

        rows = learned_recordings(examples, self.params.horizon_days)
        self.intents = sorted(rows["intent"].unique())
        self.encoder = str(rows["encoder"].iloc[0])
        classes = np.searchsorted(self.intents, rows["intent"].to_numpy(dtype=str))
        speakers = rows["speaker"].to_numpy(dtype=str)
        self.counts = {"recordings": len(rows), "speakers": len(np.unique(speakers))}
        folds = _folds(speakers, classes, self.params)
        fits = [self._fitted(rows[~is_out], classes[~is_out], self.params.seed + n) for n, is_out in enumerate(folds)]
        self.sharpness = 1.0
        if fits:
            crossed = [self._chances(rows[is_out], [fit]) for is_out, fit in zip(folds, fits, strict=True)]
            self.sharpness = _sharpness(np.concatenate(crossed), np.concatenate([classes[is_out] for is_out in folds]))
        self._keep(rows, classes, fits)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each recording: ``likeliest`` intent, its chance ``score``, ``intent`` (or unsure), ``reasons``.

        What cannot be heard is unsure, and says why.
        """
        import numpy as np
        import pandas as pd

        if not self.intents:
            raise ModelError("call_intent is not fitted", expected="fit before predict", do="train the model first")
        # All that is heard, in one order: what a batch holds besides moves the last digits of a net's numbers.
        known = heard_recordings(examples)
        heard = known[known["set_aside"].isna()]
        if len(heard) and set(heard["encoder"]) != {self.encoder}:
            raise ModelError(
                "Recordings are not heard as those that a model learned from",
                expected=self.encoder,
                came=", ".join(sorted(set(heard["encoder"]))),
                do="train call_intent again",
            )
        chances = np.empty((0, len(self.intents)))
        if len(heard):
            chances = _sharpened(self._chances(heard, self._kept()), self.sharpness)
        asked = examples.columns.index
        rows = pd.DataFrame(chances, index=heard.index, columns=self.intents).reindex(asked)
        is_heard = rows.notna().all(axis=1).to_numpy()
        return _answers(
            rows.fillna(1 / len(self.intents)), is_heard, known["set_aside"].reindex(asked), self.params.least_chance
        )

    def parameters(self) -> dict[str, Any]:
        """The intents, how many recordings and speakers it learned from, and how chances are made honest."""
        return {**self.params.model_dump(), **self.counts, "intents": self.intents, "sharpness": self.sharpness}

    def _fitted(self, rows: pd.DataFrame, classes: np.ndarray, seed: int) -> Any:
        raise NotImplementedError

    def _chances(self, rows: pd.DataFrame, fits: Sequence[Any]) -> np.ndarray:
        raise NotImplementedError

    def _keep(self, rows: pd.DataFrame, classes: np.ndarray, folds: Sequence[Any]) -> None:
        raise NotImplementedError

    def _kept(self) -> Sequence[Any]:
        raise NotImplementedError


class SpokenNets(CallClassifier):
    """Nets over spectrograms (``learning.nets.cepstral``), whose chances are averaged.

    Those that some speakers were kept out of answer with those that learned from all: each hears voices otherwise.
    """

    def __init__(self, params: CallIntentParams) -> None:
        super().__init__(params)
        self.weights: list[bytes] = []
        self.courses: list[dict[str, Any]] = []

    def parameters(self) -> dict[str, Any]:
        """And how the training of each net went."""
        return {**super().parameters(), "courses": self.courses}

    def _keep(self, rows: pd.DataFrame, classes: np.ndarray, folds: Sequence[Any]) -> None:
        first = self.params.seed + self.params.folds
        nets = [*folds, *(self._fitted(rows, classes, first + number) for number in range(self.params.nets))]
        self.weights, self.courses = [weights for weights, _ in nets], [course for _, course in nets]

    def _kept(self) -> Sequence[Any]:
        return [(weights, {}) for weights in self.weights]

    def _fitted(self, rows: pd.DataFrame, classes: np.ndarray, seed: int) -> tuple[bytes, dict[str, Any]]:
        import torch

        from capflow_assets.learning.nets.cepstral import CepstralNet, class_loss
        from capflow_assets.learning.nets.devices import repeatable
        from capflow_assets.learning.nets.loop import Plan, train
        from capflow_assets.learning.nets.weights import weights_of

        params = self.params
        with repeatable(1):
            torch.manual_seed(seed)
            net = CepstralNet(len(self.intents), params.channels)
        share = params.seconds / (params.nets + params.folds)
        plan = Plan(seed, params.epochs, share, batch=params.batch, rate=params.rate, decay=0.02)
        course = train(net, _batches(rows, classes), class_loss, plan)
        figures = {"loss": round(course.losses[-1], 4), "epochs": len(course.losses), "ended": course.ended}
        return weights_of(net), {**figures, "device": course.device, "recordings": len(rows)}

    def _chances(self, rows: pd.DataFrame, fits: Sequence[Any]) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.nets.cepstral import CepstralNet, class_chances
        from capflow_assets.learning.nets.devices import repeatable
        from capflow_assets.learning.nets.weights import with_weights

        spectrograms, own = _spectrograms(rows)
        with repeatable(1):
            nets = [with_weights(CepstralNet(len(self.intents), self.params.channels), weights) for weights, _ in fits]
            mean: np.ndarray = np.mean([class_chances(net, spectrograms, own) for net in nets], axis=0)
        return mean


class LinearCepstra(CallClassifier):
    """The baseline: a logistic regression over means and deviations of cepstral coefficients."""

    def __init__(self, params: CallIntentParams) -> None:
        super().__init__(params)
        self.scaled: np.ndarray | None = None
        self.coefficients: np.ndarray | None = None

    def _keep(self, rows: pd.DataFrame, classes: np.ndarray, folds: Sequence[Any]) -> None:
        self.scaled, self.coefficients = self._fitted(rows, classes, self.params.seed)

    def _kept(self) -> Sequence[Any]:
        return [(self.scaled, self.coefficients)]

    def _fitted(self, rows: pd.DataFrame, classes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        cepstra = _stacked(rows, "cepstrum")
        scaled = np.stack([cepstra.mean(axis=0), cepstra.std(axis=0) + 1e-6])
        fitted = LogisticRegression(max_iter=500).fit((cepstra - scaled[0]) / scaled[1], classes)
        weights = np.column_stack([fitted.coef_, fitted.intercept_])
        # Of two classes one set of weights says all.
        weights = np.vstack([-weights, weights]) / 2 if len(weights) == 1 else weights
        coefficients = np.full((len(self.intents), weights.shape[1]), 0.0)
        coefficients[:, -1] = -50.0
        coefficients[fitted.classes_] = weights
        return scaled, coefficients

    def _chances(self, rows: pd.DataFrame, fits: Sequence[Any]) -> np.ndarray:
        import numpy as np
        from scipy.special import softmax

        ((scaled, coefficients),) = fits
        scores = (_stacked(rows, "cepstrum") - scaled[0]) / scaled[1] @ coefficients[:, :-1].T + coefficients[:, -1]
        return np.asarray(softmax(scores, axis=1))


def _answers(chances: pd.DataFrame, is_heard: np.ndarray, reasons: pd.Series, least_chance: float) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    values, named = chances.to_numpy(dtype=float), chances.columns.to_numpy(dtype=object)
    first, second = np.argsort(-values, axis=1, kind="stable")[:, :2].T
    rows = np.arange(len(values))
    best, next_best = values[rows, first], values[rows, second]
    why = [
        f"{other} at {chance:.0%} comes next"
        if is_so
        else f"not heard: {reason if isinstance(reason, str) else 'no file'}"
        for other, chance, is_so, reason in zip(
            named[second], next_best, is_heard, reasons.fillna("no file"), strict=True
        )
    ]
    sure = np.where(is_heard & (best >= least_chance), named[first], UNSURE).astype(object)
    columns = {"score": best, "intent": sure, "likeliest": named[first], "reasons": why}
    return pd.DataFrame(columns, index=chances.index)


def _batches(rows: pd.DataFrame, classes: np.ndarray) -> Callable[..., Any]:
    from capflow_assets.learning.nets.cepstral import spoken_otherwise

    spectrograms, own = _spectrograms(rows)
    return lambda random, size: spoken_otherwise(spectrograms, own, classes, random, size)


def _stacked(rows: pd.DataFrame, name: str) -> np.ndarray:
    import numpy as np

    return np.array([np.asarray(numbers, dtype=float) for numbers in rows[name]])


def _spectrograms(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Of each recording its spectrogram, and how far its mean is from that of its speaker."""
    from capflow_assets.encoders.sounds import BANDS
    from capflow_assets.learning.nets.cepstral import own_lines

    flat = _stacked(rows, "log_mel")
    spectrograms = flat.reshape(len(flat), -1, BANDS)
    own = own_lines(spectrograms, rows["speaker"].to_numpy(dtype=str))
    return spectrograms.astype("float32"), own


def _folds(speakers: np.ndarray, classes: np.ndarray, params: CallIntentParams) -> list[np.ndarray]:
    """Which rows are out, fold by fold: some speakers, or some recordings of fewer than three speakers.

    A fold without which an intent would be lost is left out.
    """
    import numpy as np

    groups = speakers if len(np.unique(speakers)) > 2 else np.arange(len(speakers)).astype(str)
    names = np.random.default_rng(params.seed).permutation(np.unique(groups))
    parts = [np.isin(groups, part) for part in np.array_split(names, min(params.folds, len(names)))]
    return [is_out for is_out in parts if set(classes[~is_out]) == set(classes)]


def _sharpened(chances: np.ndarray, sharpness: float) -> np.ndarray:
    import numpy as np
    from scipy.special import softmax

    return np.asarray(softmax(sharpness * np.log(chances.clip(1e-12)), axis=1))


def _sharpness(chances: np.ndarray, classes: np.ndarray) -> float:
    """The power of the chances under which what is true is likeliest (temperature scaling, Guo et al., ICML 2017)."""
    import numpy as np

    powers = np.exp(np.linspace(np.log(0.2), np.log(4.0), 61))
    rows = np.arange(len(classes))
    losses = [-np.log(_sharpened(chances, power)[rows, classes].clip(1e-12)).mean() for power in powers]
    return float(powers[int(np.argmin(losses))].round(6))

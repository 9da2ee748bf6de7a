"""The candidates of a model held against each other on past moments, alone and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Candidate, Estimator, Horizon, Model
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    from capflow_assets.learning.ensembles import FoldAnswers, TriedEnsemble
    from capflow_assets.learning.folds import Fold

# Whose answers mean the same and may be averaged.
COMBINED = ("chance", "amount")
ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """What one candidate reached: the metric on each past moment, the oldest first; or the ``error`` that it raised."""

    name: str
    values: tuple[float, ...] = ()
    error: str = ""

    def row(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"name": self.name, "values": list(self.values), "error": self.error}


@dataclass(frozen=True, slots=True)
class JudgedCandidates:
    """The best candidate alone, and the ``ensemble`` that is surely better, if there is one."""

    best: Candidate[Any]
    scores: tuple[CandidateScore, ...]
    ensemble: TriedEnsemble | None = None
    ensembles: tuple[Mapping[str, Any], ...] = ()


def judged_candidates(model: Model[Any], params: Horizon, folds: Sequence[Fold]) -> JudgedCandidates:
    """The candidates of a model, each fitted to what is older than a fold and judged on it.

    One that raises is out, and its score says what it raised. Where none can be judged the first one is taken.
    """
    from capflow_assets.learning.ensembles import best_ensemble

    candidates = model.challengers
    if len(candidates) == 1:
        return JudgedCandidates(candidates[0], ())
    answers = {candidate.name: _answers(candidate, params, folds) for candidate in candidates}
    scores = tuple(_score(model, name, given) for name, given in answers.items())
    sign = 1.0 if model.metric.higher_is_better else -1.0
    means = {score.name: sign * sum(score.values) / len(score.values) for score in scores if score.values}
    if not means:
        return JudgedCandidates(candidates[0], scores)
    best = max((candidate for candidate in candidates if candidate.name in means), key=lambda one: means[one.name])
    together = _together([given for name, given in answers.items() if name in means and not isinstance(given, str)])
    if model.objective not in COMBINED or not together:
        return JudgedCandidates(best, scores)
    choice = best_ensemble(together, model.metric, model.outcome.columns[0], seed=params.seed)
    return JudgedCandidates(best, scores, choice.chosen, tuple(choice.rows()))


def _answers(candidate: Candidate[Any], params: Horizon, folds: Sequence[Fold]) -> tuple[FoldAnswers, ...] | str:
    """What a candidate answers of each fold; the words of its error, where it raises."""
    from capflow_assets.learning.ensembles import out_of_fold

    def make() -> Estimator:
        return candidate.make(params)

    try:
        return out_of_fold({candidate.name: make}, folds)
    except Exception as error:  # whatever a fit raises is this candidate's
        return " ".join(f"{type(error).__name__}: {error}".split())[:ERROR_CHARACTERS]


def _score(model: Model[Any], name: str, answers: tuple[FoldAnswers, ...] | str) -> CandidateScore:
    if isinstance(answers, str):
        return CandidateScore(name, error=answers)
    try:
        values = [float(model.metric.compute(fold.outcomes, fold.answers[name])) for fold in answers if fold.answers]
    except EvidenceError as error:
        return CandidateScore(name, error=str(error).splitlines()[0])
    return CandidateScore(name, tuple(values), "" if values else "there was too little to learn from so early")


def _together(answers: Sequence[tuple[FoldAnswers, ...]]) -> tuple[FoldAnswers, ...]:
    """The answers of several candidates, fold by fold."""
    from capflow_assets.learning.ensembles import FoldAnswers

    return tuple(
        FoldAnswers(folds[0].outcomes, {name: frame for fold in folds for name, frame in fold.answers.items()})
        for folds in zip(*answers, strict=True)
    )

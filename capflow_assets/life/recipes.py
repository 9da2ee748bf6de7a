"""How the challenger is fitted: by which candidate, on which columns, with which parameters.

All of it is chosen on past moments that the model may learn from, without a look at the horizon that it will be judged
on, over folds in time: first the candidate, or several together where that is surely better; then the columns and the
parameters, each within a budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Candidate, Chosen, Estimator, Horizon, Model, ReadsColumns
from capflow_assets.errors import EvidenceError
from capflow_assets.life.candidates import CandidateScore, judged_candidates
from capflow_assets.life.comparison import chosen_candidate
from capflow_assets.life.report import Choices
from capflow_assets.life.split import Split

if TYPE_CHECKING:
    from capflow_assets.learning.ensembles import TriedEnsemble
    from capflow_assets.learning.folds import Fold
    from capflow_assets.learning.selection import Selection
    from capflow_assets.learning.studies import Study

# Past moments that candidates, columns and parameters are weighed on.
FOLDS = 2
# With fewer columns there is nothing to choose.
LEAST_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make an estimator; ``columns`` are those that it reads, all of its model's where None.

    Where there is an ``ensemble`` of the ``candidates``, ``candidate`` is the best of them alone.
    """

    candidate: Candidate[Any]
    params: Horizon
    columns: tuple[str, ...] | None = None
    ensemble: TriedEnsemble | None = None
    candidates: tuple[Candidate[Any], ...] = ()

    @property
    def name(self) -> str:
        """What answers, in words."""
        if self.ensemble is None:
            return self.candidate.name
        parts = [f"{weight:.0%} {name}" for name, weight in self.ensemble.weights.items() if weight > 0]
        return f"{self.ensemble.kind} of {', '.join(parts)}"

    def make(self) -> Estimator:
        """An estimator by the recipe, not fitted."""
        if self.ensemble is not None:
            return self._together(self.ensemble)
        estimator = self.candidate.make(self.params)
        if self.columns is None or not isinstance(estimator, ReadsColumns):
            return estimator
        return estimator.using(self.columns)

    def _together(self, ensemble: TriedEnsemble) -> Estimator:
        from capflow_assets.learning.ensembles import Ensemble

        makers = {candidate.name: candidate.make for candidate in self.candidates}
        parts = {name: makers[name](self.params) for name in ensemble.weights}
        return Ensemble(self.params, parts, ensemble.kind, list(ensemble.weights.values()))


@dataclass(frozen=True, slots=True)
class RecipeChoice:
    """The recipe, and how it was chosen.

    ``candidates`` are the scores of each on past moments, ``ensembles`` the combinations that were tried, as rows;
    ``selection`` is None where all columns are read. ``trials`` are those of the search for parameters, as rows
    (``learning.studies.Trial.row``). What was not chosen among is empty.
    """

    recipe: Recipe
    selection: Selection | None = None
    trials: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[CandidateScore, ...] = ()
    ensembles: tuple[Mapping[str, Any], ...] = ()

    def rows(self) -> Choices:
        """The same for the report."""
        return Choices(
            candidates=tuple(score.row() for score in self.candidates),
            ensembles=self.ensembles,
            columns=() if self.selection is None else tuple(self.selection.rows()),
            # Seconds differ from one training to the next, which are to be the same otherwise.
            trials=tuple({name: value for name, value in row.items() if name != "seconds"} for row in self.trials),
        )


def chosen_recipe(
    model: Model[Any],
    params: Horizon,
    split: Split,
    earlier: Sequence[Mapping[str, Any]] = (),
    leak_bounds: Mapping[str, float] | None = None,
) -> RecipeChoice:
    """The recipe of the challenger.

    ``earlier`` are trials of earlier searches, whose best are tried again; ``leak_bounds`` what a column may tell of an
    outcome before it is left out (``learning.leakage``).
    """
    folds = _folds(model, params, split)
    if not folds:
        return RecipeChoice(Recipe(chosen_candidate(model, params, split), params))
    judged = judged_candidates(model, params, folds)
    choice = RecipeChoice(
        Recipe(judged.best, params, None, judged.ensemble, model.challengers),
        candidates=judged.scores,
        ensembles=judged.ensembles,
    )
    if not isinstance(params, Chosen) or judged.ensemble is not None:
        return choice
    return _refined(model, params, split, choice, folds, earlier, leak_bounds)


def _refined(
    model: Model[Any],
    params: Chosen,
    split: Split,
    choice: RecipeChoice,
    folds: tuple[Fold, ...],
    earlier: Sequence[Mapping[str, Any]],
    leak_bounds: Mapping[str, float] | None,
) -> RecipeChoice:
    """The choice with fewer columns, where they are enough, and better parameters, where there are."""
    recipe = choice.recipe
    selection = _selection(model, recipe, params, split, folds, leak_bounds)
    if selection is not None:
        recipe = replace(recipe, columns=selection.columns)
    if not recipe.candidate.is_tuned:
        return replace(choice, recipe=recipe, selection=selection)
    study = _study(model, recipe, params, folds, earlier)
    return replace(choice, recipe=replace(recipe, params=study.params), selection=selection, trials=tuple(study.rows()))


def _folds(model: Model[Any], params: Horizon, split: Split) -> tuple[Fold, ...]:
    """The folds in time of what the model may learn from; none where it learns from the state of one moment."""
    from capflow_assets.learning.folds import folds_in_time

    if model.fitted == "now" or split.train.outcomes is None or len(split.train.moments) < 2:
        return ()
    try:
        return folds_in_time(split.train, params.horizon_days, FOLDS)
    except EvidenceError:  # no moment is over by another
        return ()


def _study(
    model: Model[Any], recipe: Recipe, params: Chosen, folds: tuple[Fold, ...], earlier: Sequence[Mapping[str, Any]]
) -> Study[Chosen]:
    """The search for the parameters that nobody has set, within its budget."""
    from capflow_assets.learning.tuning import TuningBudget, tune

    return tune(
        params,
        lambda tried: replace(recipe, params=tried).make(),
        model.metric,
        folds,
        budget=TuningBudget(params.trials, params.tuning_seconds),
        earlier=earlier,
    )


def _selection(
    model: Model[Any],
    recipe: Recipe,
    params: Chosen,
    split: Split,
    folds: tuple[Fold, ...],
    leak_bounds: Mapping[str, float] | None,
) -> Selection | None:
    """The columns that are enough; None where the candidate reads all that it is given, or there is no budget."""
    from capflow_assets.learning.selection import Budget, select

    estimator = recipe.make()
    if not params.selection_seconds or not isinstance(estimator, ReadsColumns):
        return None
    if len(estimator.columns) < LEAST_COLUMNS:
        return None
    try:
        return select(
            split.train,
            lambda columns: replace(recipe, columns=columns).make(),
            model.metric,
            folds,
            estimator.columns,
            model.outcome.columns[0],
            treatment=model.outcome.treatment,
            leak_bounds=leak_bounds,
            seed=params.seed,
            budget=Budget(seconds=params.selection_seconds),
        )
    except EvidenceError:  # the training says what there is too little of
        return None

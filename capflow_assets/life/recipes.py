"""How the challenger is fitted: by which candidate, on which columns, with which parameters.

All of it is chosen on past moments that the model may learn from, without a look at the horizon that it will be judged
on: the candidate by the newest of them, then the columns and the parameters over folds in time, each within a budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Candidate, Chosen, Estimator, Horizon, Model, ReadsColumns
from capflow_assets.errors import EvidenceError
from capflow_assets.life.comparison import chosen_candidate
from capflow_assets.life.split import Split

if TYPE_CHECKING:
    from capflow_assets.learning.folds import Fold
    from capflow_assets.learning.selection import Selection
    from capflow_assets.learning.studies import Study

# Past moments that columns and parameters are weighed on.
FOLDS = 2
# With fewer columns there is nothing to choose.
LEAST_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make an estimator; ``columns`` are those that it reads, all of its model's where None."""

    candidate: Candidate[Any]
    params: Horizon
    columns: tuple[str, ...] | None = None

    def make(self) -> Estimator:
        """An estimator by the recipe, not fitted."""
        estimator = self.candidate.make(self.params)
        if self.columns is None or not isinstance(estimator, ReadsColumns):
            return estimator
        return estimator.using(self.columns)


@dataclass(frozen=True, slots=True)
class RecipeChoice:
    """The recipe, and how it was chosen.

    ``selection`` is None where all columns are read. ``trials`` are those of the search for parameters, as rows
    (``learning.studies.Trial.row``); none where there was no search.
    """

    recipe: Recipe
    selection: Selection | None = None
    trials: tuple[Mapping[str, Any], ...] = ()


def chosen_recipe(
    model: Model[Any], params: Horizon, split: Split, earlier: Sequence[Mapping[str, Any]] = ()
) -> RecipeChoice:
    """The recipe of the challenger; ``earlier`` are trials of earlier searches, whose best are tried again."""
    recipe = Recipe(chosen_candidate(model, params, split), params)
    folds = _folds(model, params, split)
    if not folds or not isinstance(params, Chosen):
        return RecipeChoice(recipe)
    selection = _selection(model, recipe, params, split, folds)
    if selection is not None:
        recipe = replace(recipe, columns=selection.columns)
    if not recipe.candidate.is_tuned:
        return RecipeChoice(recipe, selection)
    study = _study(model, recipe, params, folds, earlier)
    return RecipeChoice(replace(recipe, params=study.params), selection, tuple(study.rows()))


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
    model: Model[Any], recipe: Recipe, params: Chosen, split: Split, folds: tuple[Fold, ...]
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
            seed=params.seed,
            budget=Budget(seconds=params.selection_seconds),
        )
    except EvidenceError:  # the training says what there is too little of
        return None

"""One simulated customer whom most models learn from, those of models with a world of their own, and cases of them."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets import models
from capflow_assets.contract import Candidate, Estimator, Examples, Model
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.expressions.as_of import newest
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.home.places import Home
from capflow_assets.life.answers import answered
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.split import Split, split_in_time
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.homes import FEW_FEATURES, TestHome, small_budgets

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

CUSTOMER = "market"
NAMES = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
# Users who come often, tell each other apart by their habits, and of whom those who come rarely answer campaigns.
WORLD = {"r": 2.0, "alpha_weeks": 4.0, "a": 0.5, "b": 20.0, "items": 60, "taste_concentration": 0.3}
WORLD |= {"campaigns": 8, "campaign_reach_pct": 80, "control_pct": 50, "campaign_uplift_pct": 100}
WORLD |= {"campaign_answers": "rare"}
# Categories have their time of the year.
WORLD |= {"category_season": 0.7}
# They keep to hours and channels of their own.
WORLD |= {"own_hours_pct": 60, "own_channel_pct": 80}
# Some of what they buy they review.
WORLD |= {"reviews": 1200}
# Some call.
WORLD |= {"recordings": 200, "recordings_labelled_pct": 100}
# Others come once, for a bargain, and never again.
WORLD |= {"one_time_users": 100}
# Who ignores what is sent opts out.
WORLD |= {"opt_out_pct": 10}
# A model whose planted truth would hide that of others has a customer by itself, with no tables but those that it
# reads: here an item is reduced in some weeks, and users tell each other apart by how much more of it they take then.
SALES = {"r": 4.0, "alpha_weeks": 2.0, "a": 0.5, "b": 50.0, "items": 60, "campaigns": 0, "affinities": 0}
SALES |= {"markdown_pct": 0, "reduced_weeks_pct": 30, "elasticity_step": 0.8}
# Where many items are launched nothing else can be told apart: here every user follows them.
NEWS = {"r": 4.0, "alpha_weeks": 4.0, "a": 0.5, "b": 30.0, "items": 60, "campaigns": 0}
NEWS |= {"launches": 4000, "launch_bills_pct": 100, "launch_style": 4.0}
NEWS_MODEL = "cold_start_recommendations"
# What is trained in these homes goes its whole way quickly; cases are fitted with the models' own parameters, but for
# those of which only the digits matter, whatever they are.
BUDGETS = {"moments": 2, "max_examples": 1000, "nets": 1, "folds": 2, "selection_seconds": 0}
SMALL = {"epochs": 2, "folds": 2, "nets": 1, "rounds": 20, "trees": 20}
OWN_WORLDS: dict[str, dict[str, Any]] = {
    "price_sensitivity": {"users": 1000, **SALES},
    NEWS_MODEL: {"users": 400, **NEWS},
}


@dataclass(frozen=True)
class Repeated:
    """A second small estimator of the same parameters: its answers, and what it was given as that was before."""

    estimator: Estimator
    is_itself: bool
    answers: pd.DataFrame
    given: tuple[Examples, Examples]


@dataclass(frozen=True)
class Case:
    """A model, and its examples of the customer."""

    name: str
    model: Model[Any]
    reader: ExampleReader
    split: Split
    as_of: datetime
    _fits: dict[str, Estimator] = field(default_factory=dict)

    def make(self, candidate: Candidate[Any] | None = None, *, is_small: bool = False) -> Estimator:
        settings = {"threads": 1} | (SMALL if is_small else {})
        own = {name: value for name, value in settings.items() if name in self.model.params.model_fields}
        return (candidate or self.model.challengers[0]).make(self.model.params(**own))

    def fit(self, candidate: Candidate[Any]) -> Estimator:
        """A candidate's estimator, fitted to the training examples once for all tests. Do not fit it again."""
        if candidate.name not in self._fits:
            self._fits[candidate.name] = self.make(candidate).fit(self.split.train)
        return self._fits[candidate.name]

    @property
    def fitted(self) -> Estimator:
        """The first challenger's estimator. Do not fit it again."""
        return self.fit(self.model.challengers[0])

    @cached_property
    def small(self) -> Estimator:
        """The first challenger's estimator, of few trees, nets and epochs where it has any. Do not fit it again."""
        has_less = SMALL.keys() & self.model.params.model_fields.keys()
        return self.make(is_small=True).fit(self.split.train) if has_less else self.fitted

    @cached_property
    def small_answers(self) -> pd.DataFrame:
        """What the small estimator says of the test's subjects."""
        return self.small.predict(self.split.test)

    @cached_property
    def repeated(self) -> Repeated:
        """The small estimator, made and fitted by itself a second time."""
        given = copied(self.split.train), copied(self.split.test)
        estimator = self.make(is_small=True)
        is_itself = estimator.fit(self.split.train) is estimator
        return Repeated(estimator, is_itself, estimator.predict(self.split.test), given)

    @cached_property
    def answers(self) -> pd.DataFrame:
        """What the first challenger says of the test's subjects."""
        return answered(self.reader, self.fitted, self.split.test)


def copied(examples: Examples) -> Examples:
    """The same examples in frames of their own."""
    outcomes = None if examples.outcomes is None else examples.outcomes.copy(deep=True)
    tables = {name: tuple(frame.copy(deep=True) for frame in of) for name, of in examples.tables.items()}
    return replace(examples, columns=examples.columns.copy(deep=True), outcomes=outcomes, tables=tables)


def fill(home: TestHome, files: Path, dials: dict[str, Any], models: Collection[str]) -> None:
    """Make the tables that the models read, of a simulated customer who trains with ``small_budgets``."""
    brand = tiny(CUSTOMER, seed=3, days=420, **dials)
    settings = FEW_FEATURES | small_budgets(*models, **BUDGETS)
    home.ok("onboard", str(write(simulate(brand), files, settings=settings)))
    read = {table for name in models for table in STAGES.model(name).edges[f"models/{name}"]}
    # What others answered is read where it was kept; here nobody has answered yet.
    tables = sorted(table for table in read if not table.startswith(("models/", "predictions/")))
    home.ok("run", CUSTOMER, "--select", ",".join(f"+{table}" for table in tables))


def case_of(home: TestHome, name: str, spark: SparkSession) -> Case:
    """A model's case, of the customer in a home."""
    place = deployment(STAGES, SOURCES, home=Home.of(home.root), engine=Engine())
    lake, customer, spec = Lake(place.lake.root, lambda: spark), place.customer(CUSTOMER), STAGES.model(name)
    stages = STAGES.of_customer(customer.tables, customer.models, customer.features)
    as_of = newest(lake.table(CUSTOMER, "clean/bills"))
    reader = ExampleReader(lake, stages, customer, spec)
    return Case(name, spec.model, reader, split_in_time(reader, spec.model.params(), as_of), as_of)

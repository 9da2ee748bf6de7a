"""Many customers with a champion each, made at once: one is registered, the others are its rows and files again.

Version 1 and version 2 of a model give other scores to the same user, so that an answer shows which one gave it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from capflow_assets.contract import Examples
from capflow_assets.deployment import Deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.boosting import BoostedChance
from capflow_assets.learning.online.by_code import frame_of
from capflow_assets.learning.online.conversion import online_scores
from capflow_assets.learning.online.files import NAME
from capflow_assets.packages import STAGES, deployment
from capflow_assets.serving.tokens import issue
from capflow_assets.stores.answer_store import FEATURES, AnswerStore
from capflow_assets.stores.saved_estimators import dumps, types_of

if TYPE_CHECKING:
    import xgboost

TOML = """
name = "{name}"
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[serving]
valid_hours = 87600
answers_per_second = 1000000
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = {{ bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }}
"""
MODEL = "purchase_propensity"
USERS = tuple(f"u{number}" for number in range(40))
SEED = 0
# What MLflow keeps of a registered model, by the column that has its name.
REGISTERED = (
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)


@dataclass(frozen=True)
class Fleet:
    """A home of many customers; ``tokens`` and ``scores`` (by version, then user) are what a client needs.

    ``trees`` are those of version 1, over ``columns``, of which every user has values in the first customer's store.
    """

    deployment: Deployment
    tokens: dict[str, str]
    scores: dict[int, dict[str, float]]
    trees: xgboost.Booster
    columns: tuple[str, ...]
    values: dict[str, list[float]]

    @property
    def customers(self) -> list[str]:
        """All of them, in order."""
        return sorted(self.tokens)

    def promote(self, customers: Sequence[str], version: int) -> None:
        """Let a version of each be the champion, one after the other."""
        for customer in customers:
            self.deployment.registry.promote(customer, MODEL, version, "a test")


def fleet(root: Path, count: int, rounds: int = 40, versions: int = 2, width: int = 0) -> Fleet:
    """So many customers, whose champion is version 1 of trees of so many rounds, and whose challenger is version 2.

    The trees read the columns that the model names, and further ones up to ``width``: chosen from a wider menu.
    """
    home = Home.of(root, {}).prepare()
    opened = deployment(home)
    named = tuple(dict.fromkeys(STAGES.model(MODEL).model.columns))
    columns = (*named, *(f"further_{number}" for number in range(len(named), width)))
    rows = np.random.default_rng(SEED).random((len(USERS), len(columns)))
    first, *others = [f"shop{number:04}" for number in range(count)]
    (home.customers / f"{first}.toml").write_text(TOML.format(name=first))
    scores, first_trees = {}, None
    for version in range(1, versions + 1):
        estimator = _trees(columns, rounds, version)
        first_trees = first_trees or estimator.trees
        report = {"as_of": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "params": {}, "rung": "own"}
        report["feature_columns"] = list(columns)
        content = dumps(estimator, types_of(STAGES.model(MODEL).model))
        files = {"reference.json": b"{}", NAME: online_scores(estimator, columns, rows).packed()}
        registered = opened.registry.register(first, MODEL, content, report, files)
        answers = estimator.figures(Examples(frame_of(rows, columns)))["score"]
        scores[registered] = dict(zip(USERS, map(float, answers), strict=True))
    opened.registry.promote(first, MODEL, 1, "a test")
    if versions > 1:
        opened.registry.challenge(first, MODEL, 2, "a test")
    store = AnswerStore.of(home, first)
    facts = {"columns": list(columns), "as_of": datetime.now(UTC).isoformat()}
    with store.writing():
        blobs = [(user, row.tobytes()) for user, row in zip(USERS, rows, strict=True)]
        store.replace(FEATURES, "a test", blobs, facts)
    _repeat(root, first, others)
    assert first_trees is not None
    values = {user: list(map(float, row)) for user, row in zip(USERS, rows, strict=True)}
    tokens = {name: issue(home, name) for name in (first, *others)}
    return Fleet(opened, tokens, scores, first_trees, columns, values)


def _trees(columns: tuple[str, ...], rounds: int, seed: int) -> BoostedChance:
    chance = np.random.default_rng(seed)
    values = chance.random((600, len(columns)))
    state = frame_of(values, columns)
    hit = (values[:, seed % len(columns)] > chance.random(600)).astype(float)
    params = STAGES.model(MODEL).model.params(rounds=rounds, max_depth=4, threads=1, min_child_weight=1.0)
    words = {name: f"{name} {{}}" for name in columns}
    outcomes = pd.DataFrame({"bought": hit}, index=state.index)
    return BoostedChance(params, "bought", words).fit(Examples(state, outcomes))


def _repeat(root: Path, first: str, others: Sequence[str]) -> None:
    """The first customer's TOML, store, files and rows in MLflow's database again, under other names."""
    for name in others:
        (root / "customers" / f"{name}.toml").write_text(TOML.format(name=name))
        shutil.copytree(root / "lake" / first, root / "lake" / name, copy_function=os.link)
        shutil.copytree(root / "serving" / first, root / "serving" / name)
    with closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        for table in REGISTERED:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            of_the_first = f"SELECT {', '.join(columns)} FROM {table} WHERE name = ?"
            rows = database.execute(of_the_first, (f"{first}.{MODEL}",)).fetchall()
            insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"
            database.executemany(insert, _renamed(rows, columns, first, others))


def _renamed(
    rows: Sequence[tuple[object, ...]], columns: Sequence[str], first: str, others: Sequence[str]
) -> Iterator[list[object]]:
    for name in others:
        for row in rows:
            yield [
                value.replace(first, name) if isinstance(value, str) and column in ("name", "source") else value
                for column, value in zip(columns, row, strict=True)
            ]

"""Many decisions in one transaction: the same as one by one, none before it is carried out, and each signed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_draft import SIGNED, Action, decided, planned

BY = "ann, 2026-01-01 00:00:00 UTC"
# A champion with one before it, a first champion, a challenger, one that is frozen, and one that nobody decided about.
PAIRS = [("acme", "two"), ("boots", "one"), ("boots", "waits"), ("cafe", "frozen"), ("cafe", "new")]


def registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "lake"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of those models. Do not change it."""
    folder = tmp_path_factory.mktemp("filled")
    store = registry(folder)
    for customer, model in PAIRS:
        name = f"{customer}.{model}"
        store.client.create_registered_model(name)
        for _ in range(3):
            store.client.create_model_version(name, "capflow-lake:/x/mlflow/x/none/artifacts/model")
    for pair in PAIRS[:4]:
        store.promote(*pair, 1, "the first")
    store.promote("acme", "two", 2, "better")
    store.promote("cafe", "frozen", 2, "better")
    store.freeze("cafe", "frozen", frozen=True)
    store.challenge("boots", "waits", 3, "asks")
    store.challenge("cafe", "frozen", 3, "asks")
    store.client._tracking_client.store.engine.dispose()
    return folder


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Registry:
    return registry(Path(shutil.copytree(filled, tmp_path / "own")))


def standing(store: Registry) -> list[object]:
    """All that MLflow says of each model, but for the token of its decision."""
    versions = [store.client.get_model_version(f"{c}.{m}", v) for c, m in PAIRS for v in "123"]
    models = [store.client.get_registered_model(f"{c}.{m}") for c, m in PAIRS]
    return [
        [store.state(*pair) for pair in PAIRS],
        [{**version.tags} for version in versions],
        [{key: value for key, value in model.tags.items() if "capflow" not in key} for model in models],
        [dict(model.aliases) for model in models],
    ]


@pytest.mark.parametrize("action", get_args(Action))
def test_at_once_is_as_one_by_one(store: Registry, filled: Path, tmp_path: Path, action: Action) -> None:
    single = registry(Path(shutil.copytree(filled, tmp_path / "single")))
    before = standing(store)
    plan = planned(store, PAIRS, action, "why")
    assert standing(store) == before, "a plan writes nothing"
    changes = list(decided(store, PAIRS, action, "why", BY))
    assert changes == plan
    for change in changes:
        pair = (change.customer, change.model)
        if not change.is_made:
            continue
        if action == "promote":
            single.promote(*pair, None, "why")
        elif action == "rollback":
            single.rollback(*pair, "why")
        else:
            single.freeze(*pair, frozen=action == "freeze")
        version = str(change.after or change.before)
        single.client.set_model_version_tag(".".join(pair), version, SIGNED, f"{action} by {BY}: why")
    assert standing(store) == standing(single)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("promote", ["boots.waits: version 1 -> version 3", "cafe.frozen stays: cafe.frozen is frozen"]),
        (
            "rollback",
            [
                "acme.two: version 2 -> version 1",
                "boots.one: version 1 -> nobody",
                "boots.waits: version 1 -> nobody",
                "cafe.frozen stays: cafe.frozen is frozen",
            ],
        ),
        ("freeze", ["acme.two: version 2, frozen", "boots.one: version 1, frozen", "boots.waits: version 1, frozen"]),
        ("thaw", ["cafe.frozen: version 2, no longer frozen"]),
    ],
)
def test_the_plan_in_words(store: Registry, action: Action, words: list[str]) -> None:
    plan = [change.words(action) for change in planned(store, PAIRS, action, "why") if not change.is_idle]
    assert len(plan) == len(words)
    assert all(line.startswith(expected) for line, expected in zip(plan, words, strict=True)), plan


def test_what_was_decided_can_be_taken_back_one_by_one(store: Registry) -> None:
    list(decided(store, PAIRS, "rollback", "a bad night", BY))
    assert store.decision("acme", "two", 1) == {"action": "rollback", "reason": "a bad night"}
    assert store.promote("acme", "two", 2, "it was not the model") == 2
    assert store.history("acme", "two") == [1]

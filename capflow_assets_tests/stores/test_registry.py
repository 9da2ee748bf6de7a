"""The registry: what was registered is what is read, each customer's for itself; champions have a file of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from capflow_assets.errors import BrokenModelError, CapflowError
from capflow_assets.stores.registry import Registry, numbers

REPORT: Mapping[str, Any] = {
    "as_of": "2024-06-30T20:00:00+00:00",
    "params": {"moments": 2, "tail": None},
    "metric": {"name": "roc_auc", "value": 0.9, "higher_is_better": True},
    "seed": 3,
}
FILES = {"reference.json": b"{}", "holdout.png": b"\x89PNG"}


def opened(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "lake"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions of acme.x, one of acme.y and one of acme2.x. Do not change it."""
    folder = tmp_path_factory.mktemp("filled")
    registry = opened(folder)
    for customer, model in (("acme", "x"), ("acme", "x"), ("acme", "y"), ("acme2", "x")):
        registry.register(customer, model, f"{customer}.{model}".encode(), REPORT, FILES)
    return folder


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Registry:
    return opened(Path(shutil.copytree(filled, tmp_path / "store")))


def test_versions_are_numbered_by_model(filled: Path) -> None:
    registry = opened(filled)
    assert registry.versions("acme", "x") == [1, 2]
    assert registry.versions("acme2", "x") == [1]
    assert registry.versions("acme", "z") == []
    assert registry.champion("acme", "x") is None


@pytest.mark.parametrize(
    ("customer", "models"), [("acme", ["x", "y"]), ("acme2", ["x"]), ("acm", []), ("acm_", []), ("nobody", [])]
)
def test_models_are_those_of_the_customer_alone(filled: Path, customer: str, models: list[str]) -> None:
    assert opened(filled).models(customer) == models


def test_what_was_registered_is_read(filled: Path) -> None:
    registry = opened(filled)
    assert registry.read("acme", "x", 2, "model/model.skops") == b"acme.x"
    assert registry.report("acme", "x", 2) == REPORT
    assert registry.trained_as_of("acme", "x", 2) == datetime(2024, 6, 30, 20, tzinfo=UTC)
    assert registry.file("acme", "x", 2, "holdout.png") == FILES["holdout.png"]
    with pytest.raises(BrokenModelError, match="registered without this file"):
        registry.file("acme", "x", 2, "scatter.png")


def test_files_lie_below_the_customers_prefix(filled: Path) -> None:
    place = Path(opened(filled).artifacts("acme", "x", 1))
    assert place.is_relative_to(filled / "lake" / "acme" / "mlflow" / "x")
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*.*")) == [
        "model/model.skops",
        "report/holdout.png",
        "report/reference.json",
        "report/report.json",
    ]


def test_mlflow_shows_the_figures_and_the_parameters(filled: Path) -> None:
    client = opened(filled).client
    run = client.get_run(client.get_model_version("acme.x", "1").run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"params.moments": 2.0, "metric.value": 0.9, "seed": 3.0}
    assert run.data.params == {"moments": "2"}


def test_figures_are_flat_under_names_that_mlflow_takes() -> None:
    assert numbers({"a": {"b": {"c (%)": 1}, "is_on": True, "words": "x"}, "d": 2.5}) == {"a.b.c ___": 1.0, "d": 2.5}
    assert numbers({"groups": {"rare, regular": {"place": 1}}}) == {"groups.rare_ regular.place": 1.0}


@pytest.mark.parametrize("name", ["model/model.skops", "report/report.json", "report/holdout.png"])
def test_a_file_that_was_changed_is_not_read(store: Registry, name: str) -> None:
    (Path(store.artifacts("acme", "x", 1)) / name).write_bytes(b"other")
    with pytest.raises(
        BrokenModelError, match=r"Version 1 of acme\.x cannot be used: .* not the one that was registered"
    ):
        store.read("acme", "x", 1, name)
    assert store.read("acme", "x", 2, name), "the other version is as it was"


def test_where_digests_are_kept_anew_what_is_there_counts(store: Registry) -> None:
    file = Path(store.artifacts("acme", "x", 1)) / "report" / "report.json"
    file.write_text(json.dumps({**REPORT, "seed": 4}))
    store.keep_digests("acme", "x", 1)
    assert store.report("acme", "x", 1)["seed"] == 4
    store.drop_digests("acme", "x", 1)
    assert not store.has_digests("acme", "x", 1)
    file.write_text(json.dumps({**REPORT, "seed": 5}))
    assert store.report("acme", "x", 1)["seed"] == 5, "of a release before, which kept none"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"as_of": "soon"}', '{"as_of": 3}', "[" * 100_000])
def test_a_report_that_is_none_is_said_to_be_damaged(store: Registry, content: str) -> None:
    (Path(store.artifacts("acme", "x", 1)) / "report" / "report.json").write_text(content)
    store.drop_digests("acme", "x", 1)
    with pytest.raises(BrokenModelError, match=r"Version 1 of acme\.x cannot be used: Its report is damaged"):
        store.trained_as_of("acme", "x", 1)


def test_a_version_that_was_deleted_is_broken_and_one_says_what_to_do(store: Registry) -> None:
    store.client.delete_model_version("acme.x", "2")
    with pytest.raises(BrokenModelError, match="deleted in MLflow") as caught:
        store.read("acme", "x", 2, "model/model.skops")
    assert "capflow run acme --select models/x" in str(caught.value)


def test_a_registration_that_fails_leaves_no_version(store: Registry) -> None:
    with pytest.raises(CapflowError):
        store.register("acme", "x", b"", REPORT, {"../escape.json": b""})
    assert store.versions("acme", "x") == [1, 2]
    runs = store.client.search_runs([store.client.get_experiment_by_name("acme.x").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]


def test_mlflow_prints_no_addresses_of_runs(store: Registry) -> None:
    from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT

    assert store.client
    assert MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get()


def test_users_who_are_forgotten_are_counted_once(store: Registry) -> None:
    assert store.forgotten("acme", "x", 1) == 0
    for digest in ("a" * 64, "b" * 64, "a" * 64):
        store.mark_forgotten("acme", "x", 1, digest, "2024-07-01")
    assert store.forgotten("acme", "x", 1) == 2
    assert store.forgotten("acme", "x", 2) == 0
    assert store.client.get_model_version("acme.x", "1").tags["capflow.forgotten"] == "2, the last at 2024-07-01"


def test_a_model_of_another_customer_is_not_found(filled: Path) -> None:
    with pytest.raises(MlflowException):
        opened(filled).artifacts("nobody", "x", 1)

"""What a snapshot says of models is what MLflow says of each of them, from its database as from its pages."""

from __future__ import annotations

import sqlite3

import pytest
from mlflow.exceptions import MlflowException

from capflow_assets.life.scoring_version import succession
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_file import file_snapshot
from capflow_assets.stores.registry_snapshot import from_database, from_pages, snapshot

CUSTOMERS = ("acme", "acme_2", "a%me")
MODELS = ("churn", "never_promoted", "deleted_champion", "by_hand", "frozen")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Models of two customers, one of whose names looks like the other's to SQL. Do not change it."""
    folder = tmp_path_factory.mktemp("registry")
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "lake"))
    for customer in ("acme", "acme_2", "acmex2"):
        for model in MODELS:
            registry.client.create_registered_model(f"{customer}.{model}")
            for number in (1, 2, 3):
                source = f"capflow-lake:/{customer}/mlflow/{model}/run{number}/artifacts/model"
                registry.client.create_model_version(f"{customer}.{model}", source, tags={"number": str(number)})
            if model != "never_promoted":
                registry.promote(customer, model, 1, "the first")
                registry.promote(customer, model, 3, "better")
        registry.challenge(customer, "churn", 2, "it waits")
        registry.client.delete_model_version(f"{customer}.deleted_champion", "3")
        registry.client.set_registered_model_alias(f"{customer}.by_hand", "champion", "2")
        registry.freeze(customer, "frozen", True)
    return registry


def test_it_says_of_every_model_what_mlflow_says_of_it(registry):
    taken = snapshot(registry, CUSTOMERS)
    for customer in CUSTOMERS:
        for model in (*MODELS, "never_trained"):
            assert taken.state(customer, model) == registry.state(customer, model)
            assert taken.versions(customer, model) == registry.versions(customer, model)
            assert list(succession(taken, customer, model)) == list(succession(registry, customer, model))
            for version in registry.versions(customer, model):
                assert taken.decision(customer, model, version) == registry.decision(customer, model, version)
                assert taken.paths(customer, model, version) == registry.paths(customer, model, version)


def test_a_version_that_is_not_there_is_an_error_as_in_mlflow(registry):
    for one in (registry, snapshot(registry, CUSTOMERS)):
        with pytest.raises(MlflowException) as raised:
            one.paths("acme", "deleted_champion", 3)
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("prefixes", [[""], ["acme."], ["acme_2.", "acme."], ["nobody."]], ids=str)
def test_pages_say_what_the_database_says(registry, prefixes, monkeypatch):
    monkeypatch.setattr("capflow_assets.stores.registry_snapshot.MODELS_A_PAGE", 2)
    monkeypatch.setattr("capflow_assets.stores.registry_snapshot.VERSIONS_A_PAGE", 3)
    database = from_database(registry.client, prefixes)
    pages = from_pages(registry.client, prefixes)
    assert pages == database
    assert all(any(name.startswith(prefix) for prefix in prefixes) for name in database)


def test_customers_whose_names_look_alike_to_sql_stay_apart(registry):
    models = from_database(registry.client, ["acme_2."])
    assert sorted(models) == sorted(f"acme_2.{model}" for model in MODELS)


@pytest.mark.parametrize("prefixes", [[], ["acme"], ["acme_2", "acme"], ["nobody"]], ids=str)
def test_the_file_alone_says_what_the_database_says(registry, prefixes):
    read = file_snapshot(registry, prefixes)
    assert read is not None
    assert read.reader.models == from_database(registry.client, [f"{name}." for name in prefixes] or ["nobody."])


def test_a_file_of_another_shape_is_left_to_mlflow_and_a_damaged_one_is_an_error(tmp_path):
    file = tmp_path / "mlflow.db"
    registry = Registry(f"sqlite:///{file}", str(tmp_path))
    file.write_bytes(b"")
    assert file_snapshot(registry, ["acme"]) is None
    assert file_snapshot(Registry("http://mlflow.example", str(tmp_path)), ["acme"]) is None
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        file_snapshot(registry, ["acme"])

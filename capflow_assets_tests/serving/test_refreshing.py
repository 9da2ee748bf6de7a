"""What works beside the requests lives on: a table, a customer or a disk that is broken stops nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving import refreshing
from capflow_assets.serving.champion_watch import ChampionWatch
from capflow_assets.serving.publication import publish, publish_night
from capflow_assets.serving.refreshing import Done, Refresher, publish_each, published_apart
from capflow_assets.serving.tokens import issue, served_customers
from capflow_assets.stores.answer_store import AnswerStore

TOML = """
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
MODEL = "churn"


def predictions(place: Deployment, customer: str) -> Path:
    """One night's answers of a customer, by a model that nobody trained."""
    folder, count = Path(place.lake.path(customer, f"predictions/{MODEL}")), 1_000
    rows = {
        "user_id": [f"u{number}" for number in range(count)],
        "score": [number / count for number in range(count)],
        "model_version": [1] * count,
        "rung": ["own"] * count,
        "as_of": [datetime(2024, 1, 1, tzinfo=UTC)] * count,
    }
    deltalake.write_deltalake(str(folder), pa.table(rows), mode="overwrite")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Deployment:
    home = Home.of(tmp_path, {}).prepare()
    for name in ("acme", "boots"):
        (home.customers / f"{name}.toml").write_text(f'name = "{name}"\n{TOML}')
        issue(home, name)
    return deployment(STAGES, SOURCES, home=home)


def test_a_table_that_is_cut_short_is_named_and_the_neighbour_is_published(place):
    folder = predictions(place, "acme")
    predictions(place, "boots")
    file = next(folder.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "is damaged" in publish(place, "acme")[f"answers/{MODEL}"]
    assert "still the last ones" in publish_night(place, "acme", MODEL)
    Refresher(place).refresh()
    assert list(AnswerStore.of(place.home, "boots").tables()) == [f"answers/{MODEL}"]


def test_a_table_of_another_shape_leaves_the_last_answers(place):
    folder = predictions(place, "acme")
    assert publish(place, "acme") == {f"answers/{MODEL}": "1,000 subjects"}
    other = pa.table({"shopper": ["u1"], "score": [0.5]})
    deltalake.write_deltalake(str(folder), other, mode="overwrite", schema_mode="overwrite")
    assert "user_id" in publish(place, "acme")[f"answers/{MODEL}"]
    assert AnswerStore.of(place.home, "acme").tables()[f"answers/{MODEL}"].facts["model_version"] == 1


def test_only_customers_whose_lake_toml_or_store_has_changed_are_published(place):
    publications: list[list[str]] = []

    def publish_noted(customers: Sequence[str]) -> Done:
        publications.append(sorted(customers))
        return publish_each(place, customers)

    held = {"acme": ["a version"], "boots": ["a version"]}
    refresher = Refresher(place, publish_noted, held.get)
    predictions(place, "boots")
    assert refresher.refresh()
    assert not refresher.refresh()
    predictions(place, "acme")
    assert refresher.refresh()
    next(AnswerStore.of(place.home, "boots").folder.glob("*.sqlite")).unlink()
    assert refresher.refresh()
    held["acme"] = []  # a store elsewhere has lost it
    refresher.refresh()
    assert publications == [["acme", "boots"], ["acme"], ["boots"], ["acme"]]


def test_a_process_of_its_own_publishes_as_the_server_would(place):
    predictions(place, "acme")
    done = published_apart(str(place.home.root), ["acme", "boots"])
    assert done["acme"] == {f"answers/{MODEL}": "1,000 subjects"}
    assert AnswerStore.of(place.home, "acme").tables()[f"answers/{MODEL}"].facts["model_version"] == 1


def test_a_disk_that_cannot_be_read_for_a_moment_ends_no_watch(place):
    served = [served_customers(place.home)]

    def customers() -> list[str]:
        if not served:
            raise OSError(24, "Too many open files")
        return served.pop()

    watch = ChampionWatch(place.registry, customers)
    assert watch.look()
    assert not watch.look()
    served.append(["acme"])
    assert watch.look()


def test_a_folder_of_tokens_that_cannot_be_read_is_not_one_without_customers(place):
    assert served_customers(place.home) == ["acme", "boots"]
    folder = place.home.root / "serving_tokens"
    folder.rename(folder.with_name("elsewhere"))
    assert served_customers(place.home) == []
    folder.write_text("a file in its place")
    with pytest.raises(OSError, match="Not a directory"):
        served_customers(place.home)


def test_a_customer_of_whom_something_failed_is_tried_again_and_the_others_are_not(place, monkeypatch):
    publications: list[list[str]] = []

    def publish_noted(customers: Sequence[str]) -> Done:
        publications.append(sorted(customers))
        return publish_each(place, customers)

    file = next(predictions(place, "acme").glob("*.parquet"))
    predictions(place, "boots")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    refresher = Refresher(place, publish_noted)
    refresher.refresh()
    refresher.refresh()
    assert publications == [["acme", "boots"]], "not at once"
    monkeypatch.setattr(refreshing, "RETRY_SECONDS", 0.0)
    refresher = Refresher(place, publish_noted)
    refresher.refresh()
    refresher.refresh()
    assert publications[1:] == [["acme", "boots"], ["acme"]]


def test_what_is_lost_while_it_is_published_is_published_again(place, monkeypatch):
    def publish_and_lose(customers: Sequence[str]) -> Done:
        done = publish_each(place, customers)
        if done["boots"]:
            next(AnswerStore.of(place.home, "boots").folder.glob("*.sqlite")).unlink()
        return done

    predictions(place, "boots")
    monkeypatch.setattr(refreshing, "RETRY_SECONDS", 0.0)
    refresher = Refresher(place, publish_and_lose)
    assert refresher.refresh()
    assert refresher.refresh(), "the files are as they were after the first"


def test_a_champion_that_is_another_is_published_for(place):
    publications: list[list[str]] = []
    champions = {"acme": (1,), "boots": (1,)}

    def publish_noted(customers: Sequence[str]) -> Done:
        publications.append(sorted(customers))
        return publish_each(place, customers)

    refresher = Refresher(place, publish_noted, champions=champions.get)
    refresher.refresh()
    champions["boots"] = (2,)
    refresher.refresh()
    assert publications == [["acme", "boots"], ["boots"]]

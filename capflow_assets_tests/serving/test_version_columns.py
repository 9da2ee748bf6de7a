"""A version whose columns were chosen from a wider menu: it is asked with these, and the store has what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import httpx
import numpy as np
import pyarrow as pa
import pytest

from capflow_assets.serving.app import create_app
from capflow_assets.serving.publication import publish
from capflow_assets.stores.answer_store import FEATURES, AnswerStore
from capflow_assets_doubles.fleets import MODEL, USERS, Fleet, fleet
from capflow_assets_tests.serving.homes import listening

WIDTH = 20
USER = USERS[0]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """One customer, whose champion reads columns that its model does not name."""
    return fleet(tmp_path_factory.mktemp("wide") / "home", 1, rounds=4, versions=1, width=WIDTH)


@pytest.fixture(scope="module")
def client(wide: Fleet) -> Iterator[httpx.Client]:
    (customer,) = wide.customers
    with listening(create_app(wide.deployment)) as address:
        head = {"authorization": f"Bearer {wide.tokens[customer]}"}
        with httpx.Client(base_url=address, headers=head, timeout=60) as one:
            yield one


def path(wide: Fleet) -> str:
    return f"/v1/{wide.customers[0]}/models/{MODEL}/answers"


def test_all_features_of_the_version_are_taken_and_those_given_come_before_the_stored(client, wide):
    features = dict(zip(wide.columns, wide.values[USER], strict=True))
    last = wide.columns[-1]
    other = features | {last: features[last] + 0.25}
    by_id, by_features, both, changed = (
        client.post(path(wide), json={"instances": [asked]}).json()["answers"][0]
        for asked in (
            {"user_id": USER},
            {"features": features},
            {"user_id": USER, "features": {last: other[last]}},
            {"features": other},
        )
    )
    assert by_id["score"] == pytest.approx(wide.scores[1][USER], abs=1e-6)
    assert by_features["score"] == pytest.approx(by_id["score"], abs=1e-6)
    assert both["score"] == pytest.approx(changed["score"], abs=1e-6)
    assert {one["served_by"] for one in (by_id, by_features, both, changed)} == {"live"}


def test_the_description_of_the_model_lists_the_columns_of_its_version(client, wide):
    inputs = client.get(f"/v2/models/{wide.customers[0]}.{MODEL}").json()["inputs"]
    assert [one["name"] for one in inputs] == ["user_id", *wide.columns]


def test_a_feature_that_the_version_does_not_read_is_refused_with_those_that_it_does(client, wide):
    refused = client.post(path(wide), json={"instances": [{"features": {"further_1O": 1.0}}]})
    assert (refused.status_code, refused.json()["features"]) == (422, list(wide.columns))


def test_the_store_has_the_columns_that_a_champion_chose_from_the_wider_menu(tmp_path):
    shops = fleet(tmp_path / "home", 1, rounds=1, versions=1)
    (customer,) = shops.customers
    opened = shops.deployment
    toml = opened.home.customers / f"{customer}.toml"
    toml.write_text(f'{toml.read_text()}\n[models.{MODEL}]\nmenu = "all"\n')
    block, column = "features/rhythm", "gap_days_median"
    assert column not in opened.stages.model(MODEL).model.columns
    report = {"as_of": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "params": {}, "feature_columns": [column]}
    version = opened.registry.register(customer, MODEL, b"", report, {"reference.json": b"{}"})
    opened.registry.promote(customer, MODEL, version, "a test")
    rows = {"user_id": ["u1"], "as_of": [datetime(2026, 1, 2, tzinfo=UTC)], column: [3.5]}
    deltalake.write_deltalake(str(Path(opened.lake.path(customer, block))), pa.table(rows))
    publish(opened, customer)
    store = AnswerStore.of(opened.home, customer)
    table = store.tables()[FEATURES]
    ((_, blob),) = store.sample(table, 1)
    assert dict(zip(table.facts["columns"], np.frombuffer(blob), strict=True))[column] == 3.5

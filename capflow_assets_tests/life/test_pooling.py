"""The vertical's pooled model: who gives what, who learns from whom, who answers, and what goes with whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from capflow_assets.contract import Candidate, Examples, Needs, Reads
from capflow_assets.deployment import Deployment
from capflow_assets.home.keys import customer_key
from capflow_assets.life.pooling import LEAST_EXAMPLES, pool_of, shared_columns
from capflow_assets.life.report import training_report
from capflow_assets.life.scoring import score
from capflow_assets.life.training import NotReady, Trained, train
from capflow_assets.stores.shared_examples import SharedExamples
from capflow_assets.tables.suppression import digest
from capflow_assets_tests.life.shop import (
    AS_OF,
    MODEL,
    REGULARS,
    SHOP,
    TOML,
    RegularsParams,
    Visits,
    deployment,
    reader,
)

CHANCE = replace(REGULARS, objective="chance")
TOO_MUCH = Needs(tables=("clean/bills",), history_days=60, users=1000, positives=10)


def shared(
    place: Deployment, customer: str, rows: int = 500, vertical: str = "footwear", settings: str = "", horizon: int = 30
) -> None:
    """Another customer of the home, that gives so many examples: regulars come, others do not."""
    text = TOML.replace('name = "shop"', f'name = "{customer}"').replace('"footwear"', f'"{vertical}"')
    (place.home.customers / f"{customer}.toml").write_text(text + settings)
    visits = np.arange(rows) % 6
    columns = {
        "subject": [f"{customer}{number}" for number in range(rows)],
        "moment": np.arange(rows) % 2,
        "visits": visits.astype(float),
        "outcome": (visits > 2).astype(float),
    }
    SharedExamples(place.lake).save(customer, MODEL, pa.table(columns), horizon)


def trained(place: Deployment, **params: Any) -> Trained | NotReady:
    return train(place, reader(place), RegularsParams(**params), AS_OF)


def rungs(place: Deployment) -> set[str]:
    assert score(place, reader(place), AS_OF) is not None
    return set(place.lake.arrow(SHOP, f"predictions/{MODEL}")["rung"].to_pylist())


def test_a_training_gives_numbers_without_ids_and_amounts(shop: Path) -> None:
    model = replace(CHANCE, reads=(Reads("features/rfm", ("visits", "spend_total", "recency_days")),))
    place = deployment(shop, model)
    result = trained(place)
    assert isinstance(result, Trained)
    table = SharedExamples(place.lake).read(SHOP, MODEL)
    assert table is not None
    assert set(table.column_names) == {"visits", "recency_days", "subject", "moment", "outcome"}
    receipt = result.report.shared
    assert receipt["rows"] == len(table) == result.report.examples.train + result.report.examples.test
    assert receipt["columns"] == ["visits", "recency_days"]
    key = customer_key(place.home, SHOP)
    assert set(table["subject"].to_pylist()) == {digest(key, "user", f"u{number:02}") for number in range(40)}
    assert receipt["place"] == f"_shared/{SHOP}/{MODEL}.parquet", "no part of the customer's own prefix"
    kept = training_report(place.registry, SHOP, MODEL, result.version)
    assert kept.shared == receipt


def test_a_customer_that_does_not_give_takes_back_what_it_gave(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    trained(place)
    (shop / "customers" / f"{SHOP}.toml").write_text(f"{TOML}[sharing]\ngive = false\n")
    place = deployment(shop, CHANCE)
    result = trained(place)
    assert isinstance(result, Trained)
    assert result.report.shared == {"rows": 0, "why": "[sharing] give = false", "removed_files": 1}
    assert SharedExamples(place.lake).models(SHOP) == []


def test_no_more_than_a_sample_is_given(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capflow_assets.life.pooling.MOST_GIVEN", 10)
    place = deployment(shop, CHANCE)
    trained(place)
    table = SharedExamples(place.lake).read(SHOP, MODEL)
    assert table is not None
    assert len(table) == 10


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, None),
        ({"ann": {}}, None),
        ({"ann": {}, "bob": {"vertical": "music"}}, None),
        ({"ann": {}, "bob": {"settings": "[sharing]\ngive = false\n"}}, None),
        ({"ann": {"rows": 60}, "bob": {"rows": 60}}, None),
        ({"ann": {}, "bob": {"horizon": 90}}, None),
        ({"ann": {}, "bob": {}}, 2),
    ],
    ids=["nobody", "one", "another vertical", "one that opted out", "too few examples", "another horizon", "two"],
)
def test_who_is_learned_from(shop: Path, others: dict[str, dict[str, Any]], expected: int | None) -> None:
    place = deployment(shop, CHANCE)
    for name, dials in others.items():
        shared(place, name, **dials)
    pool = pool_of(place, reader(place), RegularsParams())
    assert (pool and pool.customers) == expected
    if pool is not None:
        assert len(pool.examples) == 1000 >= LEAST_EXAMPLES
        assert pool.columns == ("visits",)


def test_a_pool_of_columns_that_the_customer_lacks_is_not_learned_from(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    shared(place, "ann")
    columns = {
        "subject": [f"bob{number}" for number in range(500)],
        "moment": np.arange(500) % 2,
        "opened_share": np.linspace(0, 1, 500),
        "outcome": np.arange(500) % 2.0,
    }
    SharedExamples(place.lake).save("bob", MODEL, pa.table(columns), 30)
    assert pool_of(place, reader(place), RegularsParams()) is None
    (place.home.customers / "bob.toml").write_text(TOML.replace('name = "shop"', 'name = "bob"'))
    assert pool_of(place, reader(place), RegularsParams()) is None


def test_a_customers_own_examples_are_not_in_its_pool(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    trained(place)
    shared(place, "ann")
    shared(place, "bob")
    pool = pool_of(place, reader(place), RegularsParams())
    assert pool is not None
    assert {subject[:3] for subject in pool.examples.columns.index} == {"ann", "bob"}


def test_it_answers_unjudged_for_a_customer_with_too_little(shop: Path) -> None:
    place = deployment(shop, replace(CHANCE, needs=TOO_MUCH))
    assert isinstance(trained(place), Trained)
    assert rungs(place) == {"rule"}, "until there is a pool"
    shared(place, "ann")
    shared(place, "bob")
    result = trained(place)
    assert isinstance(result, Trained)
    report = result.report
    assert report.candidate == "pooled over the vertical"
    assert report.decision.action == "promote"
    assert "1,000 examples of 2 other customers of the vertical" in report.decision.reason
    assert "ann" not in report.decision.reason
    assert report.not_judged.startswith("not judged yet: ")
    assert report.metric.score is None
    assert report.examples.test == 0
    assert rungs(place) == {"pooled"}
    again = trained(place)
    assert isinstance(again, Trained)
    assert place.registry.champion(SHOP, MODEL) == again.version == 3


def test_it_gives_way_to_a_model_of_the_customers_own(shop: Path) -> None:
    place = deployment(shop, replace(CHANCE, needs=TOO_MUCH))
    shared(place, "ann")
    shared(place, "bob")
    assert isinstance(trained(place), Trained)
    place = deployment(shop, CHANCE)
    result = trained(place)
    assert isinstance(result, Trained)
    assert result.report.decision.action == "promote"
    assert rungs(place) == {"own"}
    place = deployment(shop, replace(CHANCE, needs=TOO_MUCH))
    assert isinstance(trained(place), NotReady), "what was judged here stays"
    assert rungs(place) == {"own"}


class Homesick(Visits):
    """Learns the wrong way round from the shop's own users, whose ids begin with u."""

    def fit(self, examples: Examples) -> Homesick:
        self.direction = -1 if str(examples.columns.index[0]).startswith("u") else 1
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        answers = super().predict(examples)
        return answers.assign(score=answers["score"] * self.direction)


def test_it_answers_where_it_beats_the_rule_and_the_own_does_not(shop: Path) -> None:
    """Of 20 regulars all come, of 20 others five: the visits' AUC is 0.9, the rule's 0.5."""
    model = replace(CHANCE, candidates=(Candidate("visits", Homesick), CHANCE.baseline))
    place = deployment(shop, model)
    assert isinstance(trained(place), Trained)
    assert rungs(place) == {"rule"}
    shared(place, "ann")
    shared(place, "bob")
    assert isinstance(trained(place), Trained)
    assert rungs(place) == {"pooled"}
    report = training_report(place.registry, SHOP, MODEL, place.registry.champion(SHOP, MODEL) or 0)
    assert report.candidate == "pooled over the vertical"
    assert report.metric.score is not None
    assert report.metric.score.value == pytest.approx(0.9)
    assert report.baseline is not None
    assert report.baseline.difference.value == pytest.approx(0.4)
    assert not report.not_judged


def test_in_a_dry_run_it_answers_for_nobody(shop: Path) -> None:
    place = deployment(shop, replace(CHANCE, needs=TOO_MUCH))
    shared(place, "ann")
    shared(place, "bob")
    (shop / "customers" / f"{SHOP}.toml").write_text(f'{TOML}[promotion]\n{MODEL} = "dry run"\n')
    place = deployment(shop, replace(CHANCE, needs=TOO_MUCH))
    result = trained(place)
    assert isinstance(result, Trained)
    assert place.registry.champion(SHOP, MODEL) is None


def test_a_forgotten_user_and_a_retired_customer_are_gone(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    trained(place)
    examples, key = SharedExamples(place.lake), customer_key(place.home, SHOP)
    before = examples.read(SHOP, MODEL)
    assert before is not None
    gone = digest(key, "user", "u20")
    count = before["subject"].to_pylist().count(gone)
    assert examples.forget(SHOP, {gone}) == count > 0
    after = examples.read(SHOP, MODEL)
    assert after is not None
    assert gone not in after["subject"].to_pylist()
    assert len(after) == len(before) - count
    assert examples.forget(SHOP, {gone}) == 0
    assert examples.remove(SHOP) == 1
    assert examples.read(SHOP, MODEL) is None


def test_a_damaged_file_of_another_costs_its_part_alone(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    for name in ("ann", "bob", "cid"):
        shared(place, name)
    (Path(place.lake.root) / "_shared" / "cid" / f"{MODEL}.parquet").write_bytes(b"PAR1, and then the disk was full")
    pool = pool_of(place, reader(place), RegularsParams())
    assert pool is not None
    assert pool.customers == 2


def test_what_may_hold_a_forgotten_user_and_cannot_be_read_goes_whole(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    shared(place, "ann")
    folder = Path(place.lake.root) / "_shared" / "ann"
    (folder / f"{MODEL}.parquet.0a1b2c3d").write_bytes((folder / f"{MODEL}.parquet").read_bytes())
    (folder / "churn.parquet").write_bytes(b"PAR1")
    assert SharedExamples(place.lake).forget("ann", {"ann1"}) == 1
    assert [file.name for file in folder.iterdir()] == [f"{MODEL}.parquet"]


def test_only_chances_are_pooled(shop: Path) -> None:
    place = deployment(shop, replace(CHANCE, objective="amount"))
    assert isinstance(trained(place), Trained)
    assert SharedExamples(place.lake).models(SHOP) == []


def test_where_the_pool_cannot_be_written_the_training_goes_on(shop: Path) -> None:
    place = deployment(shop, CHANCE)
    (Path(place.lake.root) / "_shared").write_text("in the way")
    result = trained(place)
    assert isinstance(result, Trained)
    assert result.report.shared["rows"] == 0
    assert result.report.shared["why"].startswith("the pool cannot be written: ")


def test_ids_amounts_and_texts_are_no_shared_columns(shop: Path) -> None:
    names = ("visits", "spend_avg", "recency_days", "monetary_quintile")
    own = reader(deployment(shop, replace(CHANCE, reads=(Reads("features/rfm", names),))))
    assert shared_columns(own) == ("visits", "recency_days", "monetary_quintile")

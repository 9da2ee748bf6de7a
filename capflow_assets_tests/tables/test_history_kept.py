"""What fails leaves behind it what was good: the champion scores on, tables keep their last good version."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.contract import Candidate
from capflow_assets.customers.customer import Customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.model_assets import live
from capflow_assets.home.places import Home
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner
from capflow_assets_doubles.homes import EACH_KIND, TestHome, all_of, own_environment
from capflow_assets_tests.blueprint import stage_packages

MODELS = EACH_KIND
OF_MESSAGES = {f"{part}/campaign_uplift" for part in ("models", "predictions", "health", "delivery")}
PARTS = tuple(f"{part}/{model}" for model in MODELS for part in ("predictions", "health"))
packages = stage_packages.packages


@pytest.fixture
def own(acme: TestHome, acme_copy: TestHome, tmp_path: Path) -> TestHome:
    """The home of ``acme``, with files of its own that may be spoilt."""
    files = tmp_path / "files"
    shutil.copytree(acme.root.parent / "files", files)
    acme_copy.ok("onboard", str(files / "acme.toml"), "--replace")
    return replace(acme_copy, has_pictures=False)


def versions(home: TestHome) -> dict[str, int | None]:
    lake = Lake(str(home.root / "lake"), lambda: None)  # type: ignore[arg-type, return-value]
    return {table: lake.version("acme", table) for table in (*STAGES.tables, *PARTS)}


def written(home: TestHome, before: dict[str, int | None]) -> set[str]:
    return {table for table, version in versions(home).items() if version != before[table]}


# -- models ----------------------------------------------------------------------------------------------------------


def test_a_model_with_wrong_parameters_fails_and_its_champion_scores(own):
    before = versions(own)
    toml = own.root / "customers" / "acme.toml"
    toml.write_text(toml.read_text() + "\n[models.rfm_segments]\nhorizon_days = 0\n")
    said = own.capflow("run", "acme", "--select", "*/rfm_segments")
    assert said.code == 1
    assert "models/rfm_segments: The parameters of rfm_segments are wrong for acme." in said.err
    assert "Traceback" not in said.err
    assert written(own, before) == {"predictions/rfm_segments", "health/rfm_segments"}
    assert {row["model_version"] for row in own.rows("predictions/rfm_segments", "acme")} == {1}
    assert own.status("acme")["rfm_segments"]["champion"] == 1


class Broken:
    """An estimator whose fit does what bugs do; what was saved before it had them loads."""

    saved_types = ("capflow_assets.models.rfm_segments.RfmSegments",)  # as it was called then

    def __init__(self, params: Any) -> None:
        self.params = params

    def fit(self, examples: Any) -> Broken:
        raise ZeroDivisionError("division by zero")


def test_a_model_whose_training_breaks_leaves_its_champion_scoring(acme_copy, spark):
    """Straight through the model's life, since no customer can send a bug."""
    spec = STAGES.models["rfm_segments"]
    broken = replace(spec, model=replace(spec.model, candidates=(Candidate("broken", Broken), spec.model.baseline)))
    before = versions(acme_copy)
    with own_environment():
        place = deployment(STAGES, SOURCES, home=Home.of(acme_copy.root))
        outcomes = list(live(place, broken, "acme", frozenset({"models", "predictions", "health"})))
    failures = {outcome.key.to_user_string(): outcome.failure for outcome in outcomes}
    assert failures == {
        "models/rfm_segments": "ZeroDivisionError: division by zero",
        "predictions/rfm_segments": "",
        "health/rfm_segments": "",
    }
    assert written(acme_copy, before) == {"predictions/rfm_segments", "health/rfm_segments"}
    report = acme_copy.report("acme", "rfm_segments")
    assert (report["version"], report["is_champion"], report["challenger_version"]) == (1, True, None)


def test_a_model_that_breaks_takes_no_other_down(own):
    toml = own.root / "customers" / "acme.toml"
    toml.write_text(toml.read_text() + "\n[models.purchase_propensity]\nhorizon_days = 0\n")
    said = own.capflow("run", "acme", "--select", "models/purchase_propensity,*/rfm_segments")
    assert said.code == 1
    assert "4 done, 0 waiting or absent, 1 failed" in said.err
    assert "not done either" not in said.err


# -- tables ----------------------------------------------------------------------------------------------------------


def test_broken_bills_leave_every_last_good_version(own, tmp_path):
    """With bills gone bad nothing is made of them; what is not made of them is renewed, or is the same already."""
    before, status = versions(own), own.status("acme")
    bills = own.rows("raw/bills", "acme")
    (tmp_path / "files" / "bills.csv").write_bytes(b"\x00\x01garbage")
    said = own.capflow("run", "acme", "--select", all_of(*MODELS))
    assert said.code == 1
    assert "raw/bills: A file begins with no text." in said.err
    assert "made of these, so not done either: clean/" in said.err
    from_bills = {"raw/bills", "clean/bills", "clean/line_items", "clean/users", "validation/report"}
    from_bills |= {f"validation/{name}" for name in ("kpis", "distributions", "retention", "evidence", "readiness")}
    from_bills |= {key for key in STAGES.tables if key.startswith("features/")} | set(PARTS)
    assert written(own, before) == {key for key in STAGES.tables if not key.startswith("raw/")} - from_bills
    assert "✗ acme: 9 done" in said.err
    assert own.rows("raw/bills", "acme") == bills
    champions = {model: row["champion"] for model, row in own.status("acme").items() if row["status"] != "off"}
    assert champions == dict.fromkeys(MODELS, 1)
    assert {row["scored_users"] for row in status.values()} == {
        row["scored_users"] for row in own.status("acme").values()
    }


def test_models_whose_tables_are_whole_run_beside_a_broken_table(own, tmp_path):
    before = versions(own)
    (tmp_path / "files" / "messages.csv").unlink()
    said = own.capflow("run", "acme", "--select", all_of(*MODELS))
    assert said.code == 1
    assert "raw/messages: There are no files." in said.err
    waiting = {"features/campaigns", "features/promotion", "validation/evidence", "validation/readiness"}
    waiting |= {"features/contact_rhythm"} | OF_MESSAGES
    assert "made of these, so not done either: " in said.err
    assert set(said.err.split("so not done either: ")[1].split("\n")[0].split(", ")) == waiting
    derived = {key for key in STAGES.tables if not key.startswith("raw/")}
    derived -= {"features/reviews", "features/call_sounds", "features/item_pictures"}
    # What can be carried on and finds nothing new is left as it is.
    same = {key for key, spec in STAGES.tables.items() if spec.advanced}
    assert written(own, before) == {*derived, *PARTS} - waiting - same
    rows = own.status("acme")
    status = {rows[model]["status"] for model in MODELS if f"models/{model}" not in waiting}
    assert status <= {"promoted", "kept the champion", "asks"}
    of_users = [model for model in MODELS if STAGES.models[model].model.subject.key == ("user_id",)]
    assert all(len(own.rows(f"predictions/{model}", "acme")) > 1000 for model in of_users)


RAW = """
from capflow_assets.contract import Column, Table
TABLE = Table('bill', (Column('user_id', 'string', ''),))
"""
COUNTS = """
from capflow_assets.contract import Column, Table
TABLE = Table('user', (Column('user_id', 'string', ''), Column('n', 'bigint', '', at_most=2)), key=('user_id',))

def counts(bills, as_of):
    return bills.groupBy('user_id').count().withColumnRenamed('count', 'n' if as_of.year < 2025 else 'm')
"""
SCORES = """
from capflow_assets.contract import Column, Table
TABLE = Table('user', (Column('user_id', 'string', ''), Column('n', 'bigint', '')))

def scores(counts):
    return counts
"""
CUSTOMER = Customer.model_validate(
    {
        "name": "acme",
        "vertical": "x",
        "currency": "EUR",
        "time_zone": "UTC",
        "tables": {"bills": {"source": "csv", "location": "/none.csv", "columns": {"user_id": "u"}}},
    }
)


@pytest.mark.parametrize(
    ("users", "as_of", "words"),
    [
        (["ann", "ann", "ann", "bob"], "2024-06-30", "n is at most 2"),  # a value that breaks its bound
        (["ann", "bob"], "2025-01-01", "n is missing"),  # a column that is gone
    ],
)
def test_a_feature_table_that_breaks_its_schema_is_not_written(packages, tmp_path, spark, users, as_of, words):
    packages.write("raw", "bills", RAW)
    packages.write("features", "counts", COUNTS)
    packages.write("features", "scores", SCORES)
    lake, stages = Lake(str(tmp_path / "lake"), lambda: spark), packages()

    def run(sent: list[str], moment: str) -> dict[str, tuple[str, str]]:
        lake.write(spark.createDataFrame([(user,) for user in sent], "user_id string"), "acme", "raw/bills")
        runner = TableRunner(lake, stages, {}, CUSTOMER, frozenset({"features/counts", "features/scores"}), moment)
        return {result.key: (result.status, result.reason) for result in runner.run()}

    assert {status for status, _ in run(["ann", "ann", "bob"], "2024-06-30").values()} == {"done"}
    results = run(users, as_of)
    assert results["features/counts"][0] == "failed"
    assert (
        "features/counts breaks its schema and was not written; the last good version stays"
        in results["features/counts"][1]
    )
    assert words in results["features/counts"][1].split("Came: ")[1]
    assert results["features/scores"] == ("blocked", "features/counts failed; the last good version stays")
    for table in ("features/counts", "features/scores"):
        assert lake.version("acme", table) == 0
        assert sorted(map(tuple, lake.table("acme", table).collect())) == [("ann", 2), ("bob", 1)]

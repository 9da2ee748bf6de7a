"""Settings of checks as they change what happens to a customer's night: tables, promotions, predictions."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from capflow_assets.blueprint.checking import declared_checks, landing_findings, schema_finding
from capflow_assets.contract import Column, Finding, Table, Window
from capflow_assets.customers.customer import Customer, parse_customer
from capflow_assets.definitions import SOURCES, STAGES, defs
from capflow_assets.graph.check_records import check_spec
from capflow_assets.graph.cohort import run_cohort
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.home.places import Home
from capflow_assets.life.examples import ExampleReader
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.homes import EACH_KIND, TestHome, features_of, own_environment

TABLES = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}
TOML = """
name = "boots"
vertical = "toys"
currency = "GBP"
time_zone = "Europe/London"
[tables.users]
source = "csv"
location = "users.csv"
columns = { user_id = "Card" }
"""
UNITS = Table(
    grain="row",
    columns=(
        Column("id", "string", "", required=True),
        Column("share", "double", "", at_most=1),
        Column("note", "string", "", one_of=("x",), severity="warn"),
    ),
    key=("id",),
)


def customer(checks: str = "") -> Customer:
    return parse_customer(TOML + checks, "boots.toml", TABLES, SOURCES, known_checks=declared_checks(STAGES))


@pytest.fixture
def own(acme: TestHome, acme_copy: TestHome, tmp_path: Path) -> TestHome:
    """The home of ``acme``, with files of its own that may be spoilt."""
    shutil.copytree(acme.root.parent / "files", tmp_path / "files")
    acme_copy.ok("onboard", str(tmp_path / "files" / "acme.toml"), "--replace")
    return replace(acme_copy, has_pictures=False)


def say(home: TestHome, text: str, old: str = "", new: str = "") -> None:
    """Change the customer's TOML in a home."""
    toml = home.root / "customers" / "acme.toml"
    before = toml.read_text("utf-8")
    assert old in before
    toml.write_text((before.replace(old, new) if old else before) + text, "utf-8")


def version(home: TestHome, table: str) -> int | None:
    return Lake(str(home.root / "lake"), lambda: None).version("acme", table)  # type: ignore[arg-type, return-value]


def checked(home: TestHome, asset: str, check: str) -> dg.AssetCheckEvaluation:
    """The newest result of a check."""
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check)
        record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
        event: Any = record.event
        return event.asset_check_evaluation


# -- schema and landing ------------------------------------------------------------------------------------------------


def schema_of(spark: Any, checks: str = "", rows: Any = (("a", 2.0, "x"), ("b", 0.5, "x"))) -> Finding:
    frame = spark.createDataFrame(list(rows), "id string, share double, note string")
    return schema_finding(STAGES, customer(checks), "clean/users", frame, UNITS)


def test_a_column_may_say_that_its_rules_only_warn(spark: Any) -> None:
    warned = schema_of(spark, rows=[("a", 0.5, "y")])
    assert (warned.passed, warned.severity) == (False, "warn")
    assert "was written all the same" in warned.message
    both = schema_of(spark, rows=[("a", 2.0, "y")])
    assert (both.passed, both.severity) == (False, "block")
    assert "was not written" in both.message
    assert both.message.index("share is at most 1") < both.message.index("note is one of x")


def test_a_customer_may_let_a_schema_warn_bear_a_share_or_rest(spark: Any) -> None:
    assert schema_of(spark).severity == "block"
    warned = schema_of(spark, '[checks."clean/users:schema"]\nseverity = "warn"')
    assert (warned.passed, warned.severity) == (False, "warn")
    assert schema_of(spark, '[checks."clean/bills:schema"]\nseverity = "warn"').severity == "block"
    assert schema_of(spark, "[checks.schema]\nat_most_share_pct = 50").passed
    assert not schema_of(spark, "[checks.schema]\nat_most_share_pct = 49").passed
    assert not schema_of(spark, '[checks.schema]\nseverity = "block"', rows=[("a", 0.5, "y")]).passed
    off = schema_of(spark, '[checks.schema]\nseverity = "off"', rows=[("a", 2.0, "y"), ("a", 2.0, "y")])
    assert off.passed
    assert "columns and types alone" in off.message


def test_a_table_of_other_columns_is_never_written(spark: Any) -> None:
    frame = spark.createDataFrame([("a", 1)], "id string, share int")
    for severity in ("warn", "off"):
        given = customer(f'[checks.schema]\nseverity = "{severity}"')
        finding = schema_finding(STAGES, given, "clean/users", frame, UNITS)
        assert (finding.passed, finding.severity) == (False, "block")


def test_rejected_rows_may_be_borne_or_block() -> None:
    finding = Finding("landed", False, "3 of 100 rows were rejected", found={"came": 100, "rejected": 3})

    def judged(checks: str) -> Finding:
        return landing_findings(STAGES, customer(checks), "raw/users", [finding])[0]

    assert (judged("").passed, judged("").severity) == (False, "warn")
    assert judged("[checks.landed]\nat_most_share_pct = 3").passed
    blocking = judged('[checks.landed]\nat_most_share_pct = 2\nseverity = "block"')
    assert (blocking.passed, blocking.severity) == (False, "block")
    assert judged('[checks.landed]\nseverity = "off"').passed
    named = Finding("personal_data", False, "a column looks like e-mail")
    given = customer('[checks."raw/users:personal_data"]\nseverity = "block"')
    assert landing_findings(STAGES, given, "raw/users", [named])[0].severity == "block"
    assert landing_findings(STAGES, given, "raw/items", [named])[0].severity == "warn"


def test_a_run_tells_what_looks_personal_and_nobody_called_so(own: TestHome, tmp_path: Path) -> None:
    users = pd.read_csv(tmp_path / "files" / "users.csv", dtype=str)
    users.assign(city=users["user_id"] + "@example.com").to_csv(tmp_path / "files" / "users.csv", index=False)
    said = own.capflow("run", "acme", "--select", "raw/users")
    assert said.code == 0
    assert "raw/users: personal_data: city: 100 % are e-mail" in said.err
    assert "@example.com" not in said.err


# -- checks of validation ----------------------------------------------------------------------------------------------


def test_a_check_that_blocks_keeps_the_table_and_what_is_made_of_it(own: TestHome, tmp_path: Path) -> None:
    """Half of the catalogue is lost: by default that is a warning, for who says so it is the end of the table."""
    items = pd.read_csv(tmp_path / "files" / "items.csv", dtype=str)
    items.head(len(items) // 2).to_csv(tmp_path / "files" / "items.csv", index=False)
    names = ("clean/line_items", "clean/bills", "clean/items", "features/rfm")
    before = {name: version(own, name) for name in names}
    say(own, '\n[checks.known_items]\nseverity = "block"\n')
    said = own.capflow("run", "acme", "--select", "raw,clean,features/rfm")
    assert said.code == 1
    assert "clean/line_items was not written: known_items blocks; the last good version stays" in said.err
    assert {name for name in names if version(own, name) != before[name]} == {"clean/items"}
    evaluation = checked(own, "clean/line_items", "known_items")
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert evaluation.metadata["at_most_share_pct"].value == 10.0  # its vertical's

    say(own, "", 'severity = "block"', 'severity = "warn"')
    said = own.capflow("run", "acme", "--select", "raw,clean")
    assert (said.code, said.err.count("clean/line_items: known_items: ")) == (0, 1), said.err
    assert version(own, "clean/line_items") != before["clean/line_items"]
    evaluation = checked(own, "clean/line_items", "known_items")
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)

    say(own, "", 'severity = "warn"', 'severity = "block"\nat_most_share_pct = 90')
    own.ok("run", "acme", "--select", "clean")
    assert checked(own, "clean/line_items", "known_items").passed

    say(own, "", 'severity = "block"', 'severity = "off"')
    own.ok("run", "acme", "--select", "clean/line_items")
    assert "not asked" in str(checked(own, "clean/line_items", "known_items").description)


def test_a_check_that_blocks_the_first_bills_asks_them_before_they_are_written(own: TestHome, tmp_path: Path) -> None:
    bills = pd.read_csv(tmp_path / "files" / "bills.csv", dtype=str)
    days = bills["billed_at"].str[:10]
    silent = sorted(days.unique())[-20:-14]
    bills[~days.isin(silent)].to_csv(tmp_path / "files" / "bills.csv", index=False)
    shutil.rmtree(own.root / "lake" / "acme" / "clean")
    say(own, '\n[checks.feed_gaps]\nseverity = "block"\n')
    said = own.capflow("run", "acme", "--select", "raw,clean")
    assert said.code == 1
    assert "clean/bills was not written: feed_gaps blocks" in said.err
    assert version(own, "clean/bills") is None


# -- training against scoring ------------------------------------------------------------------------------------------


def test_a_change_of_unit_keeps_the_last_good_predictions(own: TestHome) -> None:
    """A till that sends cents instead of pounds: the champion is not asked about users who spend a hundredfold."""
    before = own.rows("predictions/purchase_propensity", "acme")
    say(own, "", 'amount = "amount"', 'amount = "100 * cast(amount as double)"')
    own.ok("run", "acme", "--select", f"raw,clean,{features_of('purchase_propensity')}")
    said = own.capflow("run", "acme", "--select", "predictions/purchase_propensity,health/purchase_propensity")
    assert said.code == 1
    assert "acme.purchase_propensity was not scored: the last good predictions stay" in said.err
    # Whichever of the columns of spend the training chose.
    assert re.search(r"spend_\w+ \(divergence 0\.", said.err), said.err
    assert own.rows("predictions/purchase_propensity", "acme") == before
    evaluation = checked(own, "predictions/purchase_propensity", "skew")
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert own.status("acme")["purchase_propensity"]["drifted"] is True, "drift is measured all the same"

    say(own, '\n[checks.skew]\nseverity = "warn"\n')
    own.ok("run", "acme", "--select", "predictions/purchase_propensity")
    assert own.rows("predictions/purchase_propensity", "acme") != before
    evaluation = checked(own, "predictions/purchase_propensity", "skew")
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_users_like_those_of_the_training_are_scored(acme: TestHome) -> None:
    for model in EACH_KIND:
        evaluation = checked(acme, f"predictions/{model}", "skew")
        assert evaluation.passed, evaluation.description
        assert checked(acme, f"models/{model}", "leakage").passed


def planted(noise_std: float) -> Callable[..., Any]:
    """Features in which ``overdue_ratio`` is the outcome with noise: as a feature that reads the future."""
    honest = ExampleReader.columns_at

    def leaking_frame(self: ExampleReader, moment: Any, frame: pd.DataFrame) -> pd.DataFrame:
        (outcomes,) = self.outcomes_in([Window(moment, moment + timedelta(days=30))], [frame.index])
        noise = np.random.default_rng(0).normal(0, noise_std, len(frame))
        return frame.assign(overdue_ratio=outcomes.iloc[:, 0].to_numpy() + noise) if "overdue_ratio" in frame else frame

    def columns_at(self: ExampleReader, moments: Any, *more: Any, **named: Any) -> list[pd.DataFrame]:
        frames = honest(self, moments, *more, **named)
        return [leaking_frame(self, moment, frame) for moment, frame in zip(moments, frames, strict=True)]

    return columns_at


def test_a_feature_that_leaks_is_not_promoted(own: TestHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExampleReader, "columns_at", planted(0.2))
    own.ok("run", "acme", "--select", "models/purchase_propensity")
    status = own.status("acme")["purchase_propensity"]
    assert (status["status"], status["champion"], status["challenger"]) == ("kept the champion", 1, 2)
    assert status["reason"].startswith("Not promoted, since a feature leaks: overdue_ratio alone orders the users by")
    evaluation = checked(own, "models/purchase_propensity", "leakage")
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert own.report("acme", "purchase_propensity", 2)["leakage"]["found"]["column"] == "overdue_ratio"

    say(own, '\n[checks.leakage]\nseverity = "warn"\n')
    own.ok("run", "acme", "--select", "models/purchase_propensity")
    assert own.status("acme")["purchase_propensity"]["champion"] == 3
    assert checked(own, "models/purchase_propensity", "leakage").severity == dg.AssetCheckSeverity.WARN


# -- many customers ----------------------------------------------------------------------------------------------------


def test_a_cohort_has_a_result_for_each_customer_and_one_with_the_table_of_all() -> None:
    """Each customer by its own settings: what blocks one only warns another, and the result of all is the worst."""
    key = dg.AssetKey(["clean", "line_items"])

    @dg.multi_asset(
        specs=[dg.AssetSpec(key, skippable=True, partitions_def=CUSTOMERS)],
        check_specs=[check_spec("landed", key, "Every row could be landed.")],
        partitions_def=CUSTOMERS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def cohort(context):  # type: ignore[no-untyped-def]
        finding = Finding("landed", False, "2 of 100 rows were rejected", found={"came": 100, "rejected": 2})
        settings = {
            "ann": "",
            "bob": '[checks.landed]\nseverity = "block"\nat_most_share_pct = 1',
            "cid": "[checks.landed]\nat_most_share_pct = 2",
        }

        def work(name: str) -> Any:
            findings = landing_findings(STAGES, customer(settings[name]), "raw/users", [finding])
            yield Outcome(key, {}, tuple((key, finding) for finding in findings))

        yield from run_cohort(context, context.partition_keys, work)

    tags = {"dagster/asset_partition_range_start": "ann", "dagster/asset_partition_range_end": "cid"}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(CUSTOMERS.name), ["ann", "bob", "cid"])
        *own, overall = dg.materialize([cohort], tags=tags, instance=instance).get_asset_check_evaluations()
    assert [(evaluation.partition, evaluation.passed) for evaluation in own] == [
        ("ann", False),
        ("bob", False),
        ("cid", True),
    ]
    assert overall.partition is None
    assert (overall.passed, overall.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert overall.description == "1 of 3 customers pass; not ann, bob"
    table: Any = overall.metadata["customers"]
    rows = [record.data for record in table.records]
    assert [(row["customer"], row["passed"], row["severity"]) for row in rows] == [
        ("ann", False, "warn"),
        ("bob", False, "block"),
        ("cid", True, "warn"),
    ]


def test_the_checks_of_scoring_and_training_are_on_their_assets() -> None:
    keys = {(key.asset_key.to_user_string(), key.name) for key in defs.resolve_asset_graph().asset_check_keys}
    for model in STAGES.models:
        assert {(f"models/{model}", "leakage"), (f"predictions/{model}", "skew")} <= keys
    can_be_set = {(asset, check.name) for check in declared_checks(STAGES).values() for asset in check.assets}
    assert can_be_set <= keys
    assert CUSTOMERS.name == "customer"

"""From files to predictions on a tiny world, by the commands that a person types."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tomllib

import pyarrow.parquet as pq
import pytest
from scipy.stats import percentileofscore

from capflow_assets.definitions import STAGES
from capflow_assets.life.answers import table_of
from capflow_assets_doubles.homes import EACH_KIND

MODELS = ("lifetime_value", "purchase_propensity", "rfm_segments")
# What evidence alone does not promote in so small a shop, where a person does.
BY_HAND = {"campaign_uplift", "next_basket", "visit_forecast"}


def test_every_table_that_the_customer_has_is_there(acme):
    absent = STAGES.absent(tomllib.loads((acme.root / "customers" / "acme.toml").read_text())["tables"])
    of_media = {"features/call_sounds", "features/item_pictures"}
    assert set(absent) == {"raw/consents", "raw/media", "raw/reviews", "features/reviews", *of_media}
    for key in set(STAGES.order) - set(absent):
        assert acme.rows(key, "acme"), key


@pytest.mark.parametrize("model", MODELS)
def test_a_champion_scores_every_user(acme, model):
    users = {row["user_id"] for row in acme.rows("features/rfm", "acme")}
    rows = acme.rows(f"predictions/{model}", "acme")
    assert {row["user_id"] for row in rows} == users
    assert len(rows) == len(users)
    assert set(table_of(STAGES.model(model).model).names) <= set(rows[0])
    assert {row["model_version"] for row in rows} == {1}
    assert all(1 <= row["decile"] <= 10 and 0 <= row["percentile"] <= 100 for row in rows)
    assert all(row["reasons"] for row in rows)
    best, worst = max(rows, key=lambda row: row["score"]), min(rows, key=lambda row: row["score"])
    scores = [row["score"] for row in rows]
    assert best["percentile"] == pytest.approx(percentileofscore(scores, best["score"], "mean"), abs=0.006)
    assert worst["decile"] < best["decile"]


@pytest.mark.parametrize("model", MODELS)
def test_explain_says_what_a_person_asks(acme, model):
    report = acme.report("acme", model)
    assert report["version"] == 1
    assert report["is_champion"] is True
    assert report["metric"]["low"] <= report["metric"]["value"] <= report["metric"]["high"]
    # Segments describe users in words, so they need only not be worse than their baseline.
    assert report["baseline"]["difference"]["high" if model == "rfm_segments" else "low"] > 0
    assert report["calibration"]["error"] <= report["calibration"]["at_most"]
    assert report["promotion"]["action"] == "promote"
    assert report["baseline"]["name"] in report["promotion"]["reason"]
    assert set(report["feature_columns"]) <= set(STAGES.models[model].model.columns)
    assert report["data_versions"]["clean/bills"] == 0
    assert report["parameters"]
    newest = max(row["billed_at"] for row in acme.rows("clean/bills", "acme"))
    assert report["as_of"] == newest


def test_status_lists_every_model(acme):
    rows = acme.status("acme")
    assert set(rows) == set(STAGES.models)
    off = {model for model, row in rows.items() if row["status"] == "off"}
    assert off == set(rows) - set(EACH_KIND)
    rows = {model: row for model, row in rows.items() if model not in off}
    assert {model for model, row in rows.items() if row["status"] == "promoted by hand"} == BY_HAND
    assert {row["status"] for model, row in rows.items() if model not in BY_HAND} == {"promoted"}
    assert all(row["drifted"] is False for row in rows.values())


def test_the_same_rows_come_in_every_format(acme, tmp_path):
    rows = acme.rows("features/rfm", "acme")
    table = csv.DictReader(io.StringIO(acme.ok("show", "features/rfm", "-c", "acme", "--format", "csv")))
    assert [row["user_id"] for row in table] == [row["user_id"] for row in rows]
    file = tmp_path / "deep" / "rfm.parquet"
    acme.ok("show", "features/rfm", "--customer", "acme", "--format", "parquet", "-o", str(file))
    assert pq.read_table(file).num_rows == len(rows)
    printed = acme.ok("show", "features/rfm", "--customer", "acme")
    assert f"{len(rows):,} rows, {len(rows):,} users" in printed


def test_a_command_ends_in_peace_when_its_reader_has_gone(acme):
    """As ``capflow show … | head -1`` does; more is written than a pipe holds."""
    command = [sys.executable, "-m", "capflow_assets", "show", "clean/line_items", "-c", "acme", "--format", "csv"]
    with subprocess.Popen(
        [*command, "--home", str(acme.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        assert shown.stdout.readline().startswith("bill_id,")
        shown.stdout.close()
        assert shown.stderr.read() == ""
        assert shown.wait(timeout=60) == 0


def test_running_again_changes_no_row(acme_copy):
    tables = ("clean/bills", "features/rfm", "features/rhythm", "validation/report")
    before = {table: acme_copy.rows(table, "acme") for table in tables}
    acme_copy.ok("run", "acme", "--select", "raw,clean,features/rfm,features/rhythm,validation/report")
    for table, rows in before.items():
        assert sorted(map(str, acme_copy.rows(table, "acme"))) == sorted(map(str, rows)), table


def test_a_model_without_its_evidence_says_what_is_missing(bills_only):
    row = bills_only.status("young")["purchase_propensity"]
    assert row["status"] == "not ready"
    assert "days of bills" in row["reason"]
    assert bills_only.report("young", "purchase_propensity")["version"] is None


def test_absent_tables_are_no_failure(bills_only):
    said = bills_only.capflow("run", "young", "--select", "clean/items")
    assert said.code == 0
    missing = bills_only.capflow("show", "clean/items", "--customer", "young")
    assert missing.code == 1
    assert "young cannot have clean/items" in missing.err


def test_promote_rollback_and_freeze(acme_copy):
    acme_copy.ok("run", "acme", "--select", "models/rfm_segments")
    champion = acme_copy.report("acme", "rfm_segments")["champion_version"]
    assert champion == 2
    acme_copy.ok("rollback", "acme", "rfm_segments", "--reason", "too new")
    report = acme_copy.report("acme", "rfm_segments")
    assert report["champion_version"] == 1
    assert report["promotion"] == {"action": "rollback", "reason": "too new"}
    row = acme_copy.status("acme")["rfm_segments"]
    assert (row["status"], row["reason"], row["champion"]) == ("rolled back by hand", "too new", 1)
    assert row["value"] == report["metric"]["value"], "the figures are the champion's"
    acme_copy.ok("freeze", "acme", "rfm_segments")
    refused = acme_copy.capflow("promote", "acme", "rfm_segments", "--version", "2")
    assert refused.code == 1
    assert "frozen" in refused.err
    acme_copy.ok("run", "acme", "--select", "models/rfm_segments")
    assert acme_copy.report("acme", "rfm_segments")["champion_version"] == 1
    acme_copy.ok("freeze", "acme", "rfm_segments", "--off")
    acme_copy.ok("promote", "acme", "rfm_segments", "--version", "2", "--reason", "seen by Ann")
    assert acme_copy.report("acme", "rfm_segments")["promotion"] == {"action": "promote", "reason": "seen by Ann"}
    row = acme_copy.status("acme")["rfm_segments"]
    assert (row["status"], row["reason"], row["champion"]) == ("promoted by hand", "seen by Ann", 2)
    acme_copy.ok("run", "acme", "--select", "predictions/rfm_segments")
    assert {row["model_version"] for row in acme_copy.rows("predictions/rfm_segments", "acme")} == {2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "acne"), "did you mean 'acme'"),
        (("run", "acme", "--select", "features/rmf"), "did you mean 'features/rfm'"),
        (("run", "acme", "--as-of", "soon"), "a date (2024-06-30)"),
        (("explain", "acme", "chrun"), "There is no model 'chrun'"),
        (("show", "features/rfm", "--customer", "../acme"), "There is no customer '../acme'"),
        (("show", "../raw/bills", "--customer", "acme"), "stage/table"),
        (("onboard", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_mistake_is_answered_in_words(acme, arguments, words):
    said = acme.capflow(*arguments)
    assert said.code == 1
    assert words in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_status_is_json_for_machines(acme):
    assert isinstance(json.loads(acme.ok("status", "--format", "json")), list)

"""The report of a training as JSON: the keys that people and programs read, and reports of earlier releases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.errors import BrokenModelError
from capflow_assets.life.report import TrainingReport, earlier_trials, training_report
from capflow_assets.stores.model_files import MODEL as CONTENT
from capflow_assets_tests.life.shop import MODEL, SHOP, deployment

# Of 0.1, the first release; each value as it was written then.
FIRST_RELEASE: dict[str, Any] = {
    "customer": "grocer",
    "model": "purchase_propensity",
    "family": "propensity",
    "question": "Who buys within the next thirty days?",
    "as_of": "2017-12-31T23:59:00+00:00",
    "horizon_days": 30,
    "test_moment": "2017-12-01T23:59:00+00:00",
    "train_moments": ["2017-10-02T23:59:00+00:00", "2017-11-01T23:59:00+00:00"],
    "params": {"horizon_days": 30, "moments": 4, "seed": 0, "learning_rate": 0.05},
    "parameters": {"trees": 200, "calibrator": {"kind": "isotonic", "rows": 400}},
    "metric": {
        "name": "roc_auc",
        "description": "Chance that a subject with the outcome bought is scored above one without.",
        "higher_is_better": True,
        "value": 0.83,
        "low": 0.81,
        "high": 0.85,
    },
    "baseline": {
        "name": "recency alone",
        "value": 0.78,
        "low": 0.76,
        "high": 0.8,
        "difference": {"value": 0.05, "low": 0.03, "high": 0.07},
    },
    "champion": {
        "version": 1,
        "value": 0.82,
        "low": 0.8,
        "high": 0.84,
        "difference": {"value": 0.01, "low": -0.01, "high": 0.03},
    },
    "calibration": {"error": 0.02, "at_most": 0.05},
    "coverage": {"share": 1.0, "at_least": 0.99},
    "feature_columns": ["recency_days", "visits"],
    "data_versions": {"clean/bills": 3, "features/rfm": 2},
    "code_version": "0.1.0+abcdef012345",
    "seed": 0,
    "examples": {"train": 4000, "test": 2400},
    "decision": {"action": "promote", "reason": "Promoted: it is better."},
    "readiness": [{"need": "users", "found": 2400, "needed": 100, "met": True, "fix": ""}],
}
LEAKAGE = {
    "check": "leakage",
    "passed": False,
    "message": "visits alone orders the users",
    "severity": "block",
    "found": {"leaking": 1, "largest": 0.99, "column": "visits"},
    "sample": [{"column": "visits", "label": "bought", "kind": "order", "value": 0.99, "low": 0.98}],
}
# What 0.5 says besides; each value as it was written then.
SINCE: dict[str, Any] = {
    "candidate": "boosted trees",
    "fitted_moments": ["2017-10-02T23:59:00+00:00", "2017-11-01T23:59:00+00:00", "2017-12-01T23:59:00+00:00"],
    "judgements": [
        {
            "name": "calibrated",
            "passed": False,
            "message": "calibration error 0.06, at most 0.05",
            "otherwise": "ask",
            "complaint": "its calibration error is 0.0600, at most 0.05 allowed",
            "found": {"error": 0.06, "at_most": 0.05},
        }
    ],
}
BROKEN = {"version": 4, "came": "A file of a model is missing", "comparison": "not possible"}


def today(**more: Any) -> dict[str, Any]:
    """A report of this release: the first one's, with what was added since, in the order in which it is written."""
    content: dict[str, Any] = {}
    for name, value in FIRST_RELEASE.items():
        content |= ({"leakage": LEAKAGE} if name == "decision" else {}) | {name: value}
    return content | SINCE | more


@pytest.mark.parametrize(
    "content",
    [FIRST_RELEASE, today(), today(champion=None), today(champion=None, broken_champion=BROKEN)],
    ids=["first release", "today", "no champion", "broken champion"],
)
def test_a_report_is_written_as_it_was_read(content: dict[str, Any]) -> None:
    written = json.dumps(TrainingReport.from_json(content).to_json(), indent=2)
    assert written == json.dumps(content, indent=2)


def test_what_was_read_is_typed() -> None:
    report = TrainingReport.from_json(today(broken_champion=BROKEN))
    assert report.as_of == datetime(2017, 12, 31, 23, 59, tzinfo=UTC)
    assert report.as_of - report.test_moment == timedelta(days=30)
    assert report.metric.score.low == 0.81
    assert report.champion is not None
    assert (report.champion.rival, report.champion.difference.high) == (1, 0.03)
    assert report.leakage is not None
    assert report.leakage.sample[0]["column"] == "visits"
    assert report.broken_champion is not None
    assert report.broken_champion.version == 4
    assert report.fitted_moments[-1] == report.test_moment
    assert [(judgement.name, judgement.passed) for judgement in report.judgements] == [("calibrated", False)]
    first = TrainingReport.from_json(FIRST_RELEASE)
    assert (first.leakage, first.candidate, first.fitted_moments, first.judgements) == (None, "", (), ())


@pytest.mark.parametrize(
    ("action", "champion", "is_settled"),
    [("promote", None, True), ("keep", None, False), ("keep", FIRST_RELEASE["champion"], True), ("ask", None, False)],
)
def test_a_report_is_settled_where_nobody_has_to_decide(action: str, champion: Any, is_settled: bool) -> None:
    content = today(champion=champion, decision={"action": action, "reason": ""})
    assert TrainingReport.from_json(content).is_settled is is_settled


@pytest.mark.parametrize(
    "damage",
    [{"metric": None}, {"metric": {"name": "roc_auc"}}, {"champion": {"version": "x"}}, {"train_moments": ["soon"]}],
    ids=lambda damage: next(iter(damage)),
)
def test_a_report_that_is_damaged_says_whose_it_is(trained_shop: Path, damage: dict[str, Any]) -> None:
    registry = deployment(trained_shop).registry
    version = registry.register(SHOP, MODEL, b"", today(), {})
    file = Path(registry.artifacts(SHOP, MODEL, version)) / "report" / "report.json"
    file.write_text(json.dumps(today(**damage)))
    registry.keep_digests(SHOP, MODEL, version)
    with pytest.raises(BrokenModelError, match=rf"report of version {version} of {SHOP}\.{MODEL} is damaged"):
        training_report(registry, SHOP, MODEL, version)


def test_a_search_begins_with_the_trials_of_an_earlier_moment(trained_shop: Path) -> None:
    """Not with those of the same moment: to train again on the same data is to make the same model again."""
    registry = deployment(trained_shop).registry
    report = training_report(registry, SHOP, MODEL, 1)
    trials = ({"number": 0, "state": "complete"},)
    studied = replace(report, choices=replace(report.choices, trials=trials))
    registry.register(SHOP, MODEL, registry.read(SHOP, MODEL, 1, CONTENT), studied.to_json(), {})
    assert earlier_trials(registry, SHOP, MODEL, report.as_of) == ()
    assert earlier_trials(registry, SHOP, MODEL, report.as_of + timedelta(days=1)) == trials
    later = replace(report, as_of=report.as_of + timedelta(days=1))
    registry.register(SHOP, MODEL, registry.read(SHOP, MODEL, 1, CONTENT), later.to_json(), {})
    assert earlier_trials(registry, SHOP, MODEL, later.as_of + timedelta(days=1)) == trials

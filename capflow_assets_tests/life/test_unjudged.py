"""A rule that describes, trained before there is a past horizon to judge it by; and who may promote a version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from capflow_assets.contract import Needs
from capflow_assets.life.report import training_report
from capflow_assets.life.scoring import score
from capflow_assets.life.training import Trained, train
from capflow_assets_tests.life.shop import AS_OF, MODEL, REGULARS, SHOP, TOML, RegularsParams, deployment, reader

FIRST = Needs(tables=("clean/bills",), users=5)
RULE = replace(REGULARS, fitted="now", answers_from=FIRST)
YOUNG = replace(RULE, needs=replace(REGULARS.needs, history_days=1000))


def trained(root: Path, model=YOUNG) -> Trained:  # type: ignore[no-untyped-def]
    place = deployment(root, model)
    result = train(place, reader(place), RegularsParams(), AS_OF)
    assert isinstance(result, Trained)
    return result


def test_it_is_promoted_unjudged_and_answers(shop: Path) -> None:
    result, place = trained(shop), deployment(shop, YOUNG)
    report = result.report
    assert report.decision.action == "promote"
    assert report.not_judged.startswith("not judged yet: needs 1000 days of bills, has ")
    assert report.not_judged in report.decision.reason
    assert (report.metric.score, report.baseline, report.coverage, report.test_moment) == (None, None, None, None)
    assert report.parameters == {"users": 41}, "fitted to all users of the as-of moment"
    assert [(judgement.name, judgement.passed, judgement.otherwise) for judgement in report.judgements] == [
        ("beats_baseline", False, "tell"),
        ("enough", False, "tell"),
        ("calibrated", False, "tell"),
    ]
    assert training_report(place.registry, SHOP, MODEL, 1) == report
    scored = score(place, reader(place), AS_OF)
    assert scored is not None
    assert scored.totals.subjects == 41


def test_a_newer_one_takes_its_place_and_a_judged_one_stays_till_a_person_decides(shop: Path) -> None:
    trained(shop)
    assert trained(shop).report.decision.reason.startswith("Promoted: cut anew on newer data, not judged yet: ")
    judged = trained(shop, RULE).report
    assert judged.champion is not None, "the unjudged one was a rival on the newest horizon"
    assert (judged.champion.rival, judged.not_judged, judged.decision.action) == (2, "", "promote")
    again = trained(shop).report
    assert again.decision.reason.startswith("A person decides: the champion was judged, and this version is not ")
    assert deployment(shop).registry.champion(SHOP, MODEL) == 3


def test_a_frozen_one_stays(shop: Path) -> None:
    trained(shop)
    deployment(shop).registry.freeze(SHOP, MODEL, frozen=True)
    assert trained(shop).report.decision.action == "ask"
    assert deployment(shop).registry.champion(SHOP, MODEL) == 1


@pytest.mark.parametrize("model", [YOUNG, REGULARS], ids=["not judged", "judged"])
@pytest.mark.parametrize(
    ("mode", "action", "words"),
    [
        ("automatic", "promote", "Promoted as the first champion"),
        (
            "dry run",
            "keep",
            "Not promoted, since its promotion is a dry run; otherwise: promoted as the first",
        ),
        ("ask", "ask", "A person decides, as the customer's TOML says; otherwise: promoted as the first champion"),
    ],
)
def test_the_customers_toml_says_who_promotes(shop: Path, model, mode: str, action: str, words: str) -> None:  # type: ignore[no-untyped-def]
    (shop / "customers" / f"{SHOP}.toml").write_text(f'{TOML}[promotion]\ndefault = "{mode}"\n')
    report = trained(shop, model).report
    assert report.decision.action == action
    assert report.decision.reason.startswith(words)
    registry = deployment(shop).registry
    assert registry.challenger(SHOP, MODEL) == (None if action == "promote" else 1)
    # Where a person decides about a model that was judged, the rule answers meanwhile.
    answering = {"promote": 1, "keep": None, "ask": None if report.not_judged else 2}
    assert registry.champion(SHOP, MODEL) == answering[action]

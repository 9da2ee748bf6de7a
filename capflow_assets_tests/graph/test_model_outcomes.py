"""What a model's assets and checks say: one judgement shown in all places, and faults that are never "not ready"."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.contract import Candidate, Examples, Model, Rule
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.graph.model_assets import live
from capflow_assets.graph.outcomes import Outcome
from capflow_assets_tests.life.shop import MODEL, REGULARS, SHOP, Nothing, Visits, deployment, write_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from capflow_assets.contract import Finding

ALL = frozenset({"models", "predictions", "health"})


class Miswired(Visits):
    def fit(self, examples: Examples) -> Visits:
        raise ModelError("A model cannot read its features", came="a frame without visits")


class Starved(Visits):
    def fit(self, examples: Examples) -> Visits:
        raise EvidenceError("bought cannot be learned", expected="subjects with the outcome", came="none")


class Broken(Visits):
    def fit(self, examples: Examples) -> Visits:
        raise ZeroDivisionError("division by zero")


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop") / "home"
    write_shop(root, spark)
    return root


@pytest.fixture
def shop(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "home"))


def with_candidate(make: Any, **changed: Any) -> Model[Any]:
    return replace(REGULARS, candidates=(Candidate("chosen", make), REGULARS.baseline), **changed)


def outcomes(root: Path, model: Model[Any] = REGULARS, parts: frozenset[str] = ALL) -> dict[str, Outcome]:
    place = deployment(root, model)
    return {outcome.key.path[0]: outcome for outcome in live(place, place.stages.model(MODEL), SHOP, parts)}


def findings(outcome: Outcome) -> dict[str, Finding]:
    return {finding.check: finding for _, finding in outcome.findings}


@pytest.mark.parametrize("is_enough", [True, False])
def test_decision_check_and_card_judge_the_baseline_alike(shop: Path, is_enough: bool) -> None:
    """One who is no better than its baseline: promoted where it need only be not worse, and then the check holds."""
    outcome = outcomes(shop, with_candidate(Nothing, beats="not worse" if is_enough else "better"))["models"]
    checks = findings(outcome)
    assert outcome.metadata["status"] == ("promoted" if is_enough else "not promoted")
    assert checks["beats_baseline"].passed == is_enough
    assert checks["promotion"].passed == is_enough
    card = outcome.metadata["report"].value
    (judgement,) = [judgement for judgement in card["judgements"] if judgement["name"] == "beats_baseline"]
    assert (judgement["passed"], judgement["message"]) == (is_enough, checks["beats_baseline"].message)
    assert card["decision"]["action"] == ("promote" if is_enough else "keep")


@pytest.mark.parametrize(("otherwise", "status"), [("keep", "not promoted"), ("ask", "asks"), ("tell", "promoted")])
def test_a_rule_of_the_models_own_is_a_check_of_its_name(shop: Path, otherwise: Any, status: str) -> None:
    rule = Rule("coverage_80", lambda outcomes, answers: 0.6, "its coverage", at_least=0.7, otherwise=otherwise)
    outcome = outcomes(shop, replace(REGULARS, rules=(rule,)), frozenset({"models"}))["models"]
    finding = findings(outcome)["coverage_80"]
    assert (finding.passed, finding.message) == (False, "coverage 0.6, at least 0.7")
    assert outcome.metadata["status"] == status


@pytest.mark.parametrize(
    ("make", "words"), [(Miswired, "A model cannot read its features"), (Broken, "ZeroDivisionError: division by zero")]
)
def test_a_fault_is_a_failure_and_no_thin_evidence(shop: Path, make: Any, words: str) -> None:
    outcome = outcomes(shop, with_candidate(make), frozenset({"models"}))["models"]
    assert outcome.failure.startswith(words)
    assert "status" not in outcome.metadata


def test_too_little_to_learn_from_is_not_ready_with_the_reason(shop: Path) -> None:
    outcome = outcomes(shop, with_candidate(Starved), frozenset({"models"}))["models"]
    assert outcome.failure == ""
    assert outcome.metadata["status"] == "not ready"
    ready = findings(outcome)["ready"]
    assert not ready.passed
    assert outcome.metadata["reason"] == ready.message
    assert ready.message.startswith("bought cannot be learned.")


@pytest.mark.parametrize("make", [Miswired, Starved])
def test_the_champion_goes_on_answering_either_way(shop: Path, make: Any) -> None:
    assert outcomes(shop, parts=frozenset({"models"}))["models"].metadata["status"] == "promoted"
    later = outcomes(
        shop, replace(with_candidate(make), candidates=(*with_candidate(make).candidates, *REGULARS.challengers))
    )
    assert (later["predictions"].metadata["champion"], later["predictions"].failure) == (1, "")
    assert later["health"].metadata["status"] == "done"

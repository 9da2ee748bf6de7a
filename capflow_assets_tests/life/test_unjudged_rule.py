"""The rule answers for a customer with too little evidence where no model is pooled, and gives way to both."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets.contract import Candidate, Model, Needs, Outcome
from capflow_assets.deployment import Deployment
from capflow_assets.life.report import training_report
from capflow_assets.life.scoring import score
from capflow_assets.life.training import NotReady, Trained, train
from capflow_assets_tests.life.shop import (
    AS_OF,
    MODEL,
    REGULARS,
    SHOP,
    TOML,
    Nothing,
    RegularsParams,
    Visits,
    bought,
    deployment,
    reader,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANCE = replace(REGULARS, objective="chance")
TOO_MUCH = Needs(tables=("clean/bills",), history_days=60, users=1000, positives=10)
SMALL = replace(CHANCE, needs=TOO_MUCH)


def trained(place: Deployment, as_of: datetime = AS_OF) -> Trained | NotReady:
    return train(place, reader(place), RegularsParams(), as_of)


def rungs(place: Deployment) -> set[str]:
    assert score(place, reader(place), AS_OF) is not None
    return set(place.lake.arrow(SHOP, f"predictions/{MODEL}")["rung"].to_pylist())


def nobody(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """An outcome that never came."""
    from pyspark.sql import functions as F

    return bought(bills, start, end).filter(F.lit(False))


def test_it_answers_unjudged_and_says_what_is_missing(shop: Path) -> None:
    place = deployment(shop, SMALL)
    result = trained(place)
    assert isinstance(result, Trained)
    report = result.report
    assert (report.candidate, report.decision.action) == ("all alike", "promote")
    assert report.decision.reason.startswith(
        "All alike, the rule: it answers until the customer's own evidence is enough"
    )
    assert "needs 1,000 users with a bill, has 40" in report.not_judged
    assert (report.metric.score, report.baseline, report.examples.test) == (None, None, 0)
    assert report.parameters == {"users": 80}, "fitted to the 40 users of each of the two moments whose horizon is over"
    assert training_report(place.registry, SHOP, MODEL, result.version) == report
    assert rungs(place) == {"rule"}


def test_it_gives_way_to_a_model_of_the_customers_own_and_never_takes_its_place(shop: Path) -> None:
    assert isinstance(trained(deployment(shop, SMALL)), Trained)
    result = trained(deployment(shop, CHANCE))
    assert isinstance(result, Trained)
    assert result.report.decision.action == "promote"
    assert rungs(deployment(shop, CHANCE)) == {"own"}
    assert isinstance(trained(deployment(shop, SMALL)), NotReady)
    assert rungs(deployment(shop, CHANCE)) == {"own"}


@pytest.mark.parametrize(
    "model",
    [
        replace(SMALL, outcome=Outcome(nobody, ("bought",))),
        replace(SMALL, outcome=Outcome(nobody, ("bought",)), objective="list"),
        replace(SMALL, candidates=(Candidate("visits", Visits), Candidate("no", Nothing, True, may_answer=False))),
    ],
    ids=["nothing to tell apart", "nothing to rank by", "a rule that may not answer"],
)
def test_where_it_can_say_nothing_nobody_answers(shop: Path, model: Model[RegularsParams]) -> None:
    place = deployment(shop, model)
    assert isinstance(trained(place), NotReady)
    assert place.registry.champion(SHOP, MODEL) is None


def test_without_a_past_horizon_nobody_answers(shop: Path) -> None:
    place = deployment(shop, SMALL)
    assert isinstance(trained(place, datetime(2024, 1, 20, tzinfo=UTC)), NotReady)


def test_in_a_dry_run_it_answers_for_nobody(shop: Path) -> None:
    (shop / "customers" / f"{SHOP}.toml").write_text(f'{TOML}[promotion]\n{MODEL} = "dry run"\n')
    place = deployment(shop, SMALL)
    assert isinstance(trained(place), Trained)
    assert place.registry.champion(SHOP, MODEL) is None

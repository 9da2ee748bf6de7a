"""Live performance by hand: answers of 31 May held against June; then what follows from a month of health.

As of 31 May the twenty regulars have five visits and all come in June; of the twenty others, with one visit, five do.
The area by visits is (20 x 15 + 5 x 15 / 2) / (25 x 15) = 0.9.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from capflow_assets.contract import Candidate, Examples, Outcome
from capflow_assets.deployment import Deployment
from capflow_assets.errors import EvidenceError
from capflow_assets.life import retrainings
from capflow_assets.life.drift_history import DriftHistory
from capflow_assets.life.health import Health, watch
from capflow_assets.life.live_performance import PastAnswers, past_answers
from capflow_assets.life.renewal import Renewal, renew
from capflow_assets.life.scoring import score
from capflow_assets.life.scoring_history import scoring_rows
from capflow_assets.life.training import Trained
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.life.shop import (
    AS_OF,
    MODEL,
    REGULARS,
    SHOP,
    TEST_MOMENT,
    Nothing,
    RegularsParams,
    Visits,
    bought,
    deployment,
    reader,
)


class Chances(Visits):
    """Scores by visits as chances: a share of ten for each, times what calibration says."""

    factor = 1.0

    def fit(self, examples: Examples) -> Chances:
        super().fit(examples)
        self.factor = 1.0
        return self

    def predict(self, examples: Examples) -> Any:
        answers = super().predict(examples)
        return answers.assign(score=(answers["score"] / 10 * self.factor).clip(0, 0.99))

    def recalibrated(self, examples: Examples) -> Chances:
        assert examples.outcomes is not None
        newer = Chances(self.params)
        newer.users = len(examples)
        newer.factor = float(examples.outcomes["bought"].mean() / (self.predict(examples)["score"].mean()))
        return newer


CHANCES = replace(
    REGULARS,
    outcome=Outcome(bought, ("bought",)),
    candidates=(Candidate("chances", Chances), Candidate("all alike", Nothing, is_baseline=True)),
)


@pytest.fixture(scope="module")
def watched_once(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with a champion of 31 May that answered then and on 30 June, watched both times. Do not change it."""
    root = Path(shutil.copytree(untrained, tmp_path_factory.mktemp("watched") / "home"))
    place = deployment(root, CHANCES)
    trained = renew(place, reader(place), RegularsParams(), TEST_MOMENT, Renewal())
    assert isinstance(trained, Trained)
    # By a person: who never errs has an interval of no width.
    place.registry.promote(SHOP, MODEL, trained.version, "")
    for moment in (TEST_MOMENT, AS_OF):
        night(place, moment)
    return root


def night(place: Deployment, moment: Any) -> Health:
    scored = score(place, reader(place), moment)
    assert scored is not None
    return watch(place, reader(place), scored)


def test_answers_are_held_against_what_came_once_their_horizon_is_over(watched_once: Path) -> None:
    place = deployment(watched_once, CHANCES)
    assert past_answers(place, reader(place), TEST_MOMENT) == "no horizon of what was answered is over yet"
    past = past_answers(place, reader(place), AS_OF)
    assert isinstance(past, PastAnswers)
    assert (past.as_of, past.version, past.subjects) == (TEST_MOMENT, 1, 40)
    assert past.live is not None
    assert past.live.value == pytest.approx(0.9)
    assert past.live.low < 0.9 < past.live.high <= 1.0
    assert past.live.promised == pytest.approx(1.0), "in May the regulars came and nobody else"
    assert past.reliability is not None
    assert past.reliability.predicted == pytest.approx((20 * 0.5 + 20 * 0.1) / 40)
    assert past.reliability.observed == pytest.approx(25 / 40)


def test_what_was_kept_held_against_the_bills_by_pandas_and_scipy_is_the_same(watched_once: Path) -> None:
    from deltalake import DeltaTable
    from scipy.stats import mannwhitneyu

    lake = deployment(watched_once, CHANCES).lake
    kept = DeltaTable(lake.path(SHOP, f"answers/{MODEL}")).to_pandas()
    bills = DeltaTable(lake.path(SHOP, "clean/bills")).to_pandas().dropna(subset="user_id")
    given = kept[kept["as_of"] == pd.Timestamp(TEST_MOMENT)].set_index("user_id")["score"]
    end = pd.Timestamp(TEST_MOMENT) + pd.Timedelta(days=30)
    since = bills[(bills["billed_at"] > pd.Timestamp(TEST_MOMENT)) & (bills["billed_at"] <= end)]
    has_come = given.index.isin(since["user_id"])
    returned, stayed = given[has_come], given[~has_come]
    area = mannwhitneyu(returned, stayed).statistic / (len(returned) * len(stayed))

    place = deployment(watched_once, CHANCES)
    past = past_answers(place, reader(place), AS_OF)
    assert isinstance(past, PastAnswers)
    assert past.live is not None
    assert past.reliability is not None
    assert past.live.value == pytest.approx(area)
    assert (past.reliability.predicted, past.reliability.observed) == pytest.approx((given.mean(), has_come.mean()))


def test_the_history_has_a_row_a_night_with_what_is_known_and_why_not(watched_once: Path) -> None:
    place = deployment(watched_once, CHANCES)
    first, second = scoring_rows(place.lake, SHOP, MODEL)
    assert (first["live"], first["unknown"]) == (None, "no horizon of what was answered is over yet")
    assert (second["live"], second["live_as_of"], second["unknown"]) == (pytest.approx(0.9), TEST_MOMENT, "")
    assert (second["predicted"], second["observed"]) == (pytest.approx(0.3), pytest.approx(0.625))
    assert second["blind"] == "its chances are off, as the newest outcomes show"
    # pos 20 x 0.5 and 20 x 0.1, neg 10 and 18: 2 x 9 + 10 x (18 + 5) of 12 x 28.
    assert first["estimate"] == pytest.approx((2 * 9 + 10 * 23) / (12 * 28))
    shown = TestHome(watched_once).rows(f"performance/{MODEL}", SHOP)
    assert {row["as_of"]: row["live"] for row in shown} == {
        TEST_MOMENT.isoformat(): None,
        AS_OF.isoformat(): pytest.approx(0.9),
    }


def test_the_pictures_of_many_nights_are_small(watched_once: Path, tmp_path: Path) -> None:
    place = deployment(Path(shutil.copytree(watched_once, tmp_path / "home")), CHANCES)
    health = night(place, AS_OF)
    assert set(health.plots) == {"heat", "performance", "calibration"}
    assert health.night.live is not None
    assert health.night.live.value == pytest.approx(0.9)
    assert health.scoring.night.estimate is not None
    assert health.night.estimate is None, "it is blind"
    assert all(plot.startswith(b"\x89PNG") and len(plot) < 40_000 for plot in health.plots.values())
    history = DriftHistory.of(place.lake, SHOP, MODEL)
    assert history.sound_fill(AS_OF)["visits"] == 100.0
    assert history.year_before(AS_OF).empty


def test_a_new_calibration_is_a_version_with_the_same_order_and_honest_chances(
    watched_once: Path, tmp_path: Path
) -> None:
    place = deployment(Path(shutil.copytree(watched_once, tmp_path / "home")), CHANCES)
    before = score(place, reader(place), AS_OF)
    result = renew(place, reader(place), RegularsParams(), AS_OF, Renewal("recalibrate", "prior shift"))
    assert isinstance(result, Trained)
    assert result.report.decision.action == "promote", result.report.decision.reason
    assert result.report.decision.reason.startswith("Recalibrated (log loss ")
    assert place.registry.champion(SHOP, MODEL) == 3, "2 is the rule that answered until then"
    after = score(place, reader(place), AS_OF)
    assert before is not None
    assert after is not None
    assert after.answers["score"].rank().equals(before.answers["score"].rank())
    assert after.answers["score"].mean() > 1.5 * before.answers["score"].mean()
    first, second = retrainings.past_trainings(place.lake, SHOP, MODEL)
    assert (first.cause, first.version, first.gain, first.is_promoted) == ("by hand", 1, None, False)
    assert (second.cause, second.version, second.is_promoted) == ("prior shift", 3, True)
    assert second.gain == pytest.approx(0.0), "the order is the same"
    with pytest.raises(EvidenceError, match="cannot be recalibrated yet"):
        renew(place, reader(place), RegularsParams(), AS_OF, Renewal("recalibrate", "prior shift"))


def test_what_cannot_be_recalibrated_is_trained(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    result = renew(place, reader(place), RegularsParams(), AS_OF, Renewal("recalibrate", "prior shift"))
    assert isinstance(result, Trained)
    assert "Recalibrated" not in result.report.decision.reason
    [training] = retrainings.past_trainings(place.lake, SHOP, MODEL)
    assert (training.version, training.gain) == (2, pytest.approx(0.0))

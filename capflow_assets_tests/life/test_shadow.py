"""The former champion in shadow, by hand: version 1 scores the wrong way round, version 3 took its place on 31 May.

Of June's outcomes visits have an area of 0.9 (``test_live_performance``); turned round they have 0.1.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from capflow_assets.deployment import Deployment
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.life import retrainings
from capflow_assets.life.health import watch
from capflow_assets.life.renewal import Renewal, renew
from capflow_assets.life.scoring import Scored, score
from capflow_assets.life.shadow import measure_gain, table_of
from capflow_assets.life.training import Trained
from capflow_assets.monitoring.arrivals import LandingDelay
from capflow_assets.stores.moments import moments
from capflow_assets_tests.life.shop import AS_OF, MODEL, SHOP, TEST_MOMENT, RegularsParams, deployment, reader

SHADOWS = table_of(MODEL)


@pytest.fixture(scope="module")
def promoted_once(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with version 3 as the champion, which was promoted over version 1 on 31 May. Do not change it."""
    root = Path(shutil.copytree(untrained, tmp_path_factory.mktemp("promoted") / "home"))
    place = deployment(root)
    for sign in (-1, 1):
        trained = renew(place, reader(place), RegularsParams(sign=sign), TEST_MOMENT, Renewal("retrain", "decay"))
        assert isinstance(trained, Trained)
        # By a person: who never errs has an interval of no width.
        place.registry.promote(SHOP, MODEL, trained.version, "by hand")
    assert place.registry.champion(SHOP, MODEL) == 3, "2 is the rule that answered until then"
    return root


@pytest.fixture
def promoted(promoted_once: Path, tmp_path: Path) -> Deployment:
    return deployment(Path(shutil.copytree(promoted_once, tmp_path / "home")))


def scored(place: Deployment, days: int = 0) -> Scored:
    scoring = score(place, reader(place), TEST_MOMENT + timedelta(days=days))
    assert scoring is not None
    return scoring


def test_the_gain_is_measured_once_the_horizon_is_over_and_stands_beside_the_promise(promoted: Deployment) -> None:
    assert scored(promoted).shadow == "version 1 answers in shadow, night 1 of 3"
    shadows = promoted.lake.arrow(SHOP, SHADOWS).to_pylist()
    assert {(row["model_version"], row["champion_version"], row["score"]) for row in shadows} == {
        (1, 3, -5.0),
        (1, 3, -1.0),
    }
    given = promoted.lake.arrow(SHOP, f"predictions/{MODEL}").to_pylist()
    assert {(row["model_version"], row["rung"]) for row in given} == {(3, "own")}, "shadows are not what is delivered"

    measure_gain(promoted, reader(promoted), AS_OF - timedelta(days=1))
    measure_gain(promoted, reader(promoted), AS_OF, LandingDelay(days=2))
    assert moments(promoted.lake, SHOP, SHADOWS) == [TEST_MOMENT], "neither over nor landed"

    night = score(promoted, reader(promoted), AS_OF)
    assert night is not None
    watch(promoted, reader(promoted), night)
    [row] = retrainings.rows_of(promoted.lake, SHOP, MODEL)
    assert (row["version"], row["champion_before"], row["gain"]) == (3, 1, pytest.approx(1.0))
    assert row["measured_gain"] == pytest.approx(0.9 - 0.1)
    assert row["measured_low"] < 0.8 < row["measured_high"]
    assert (row["measured_nights"], row["measured_as_of"]) == (1, TEST_MOMENT)
    [training] = retrainings.past_trainings(promoted.lake, SHOP, MODEL)
    assert training.known_gain == pytest.approx(0.8)
    assert moments(promoted.lake, SHOP, SHADOWS) == [AS_OF], "what was measured is not kept"
    measure_gain(promoted, reader(promoted), AS_OF)
    assert retrainings.rows_of(promoted.lake, SHOP, MODEL) == [row]


def test_it_answers_for_as_many_nights_as_the_toml_says_and_a_night_again_counts_once(promoted: Deployment) -> None:
    said = [scored(promoted, days).shadow for days in (0, 0, 1, 2, 3)]
    assert [words[-10:] for words in said] == [f"ght {night} of 3" for night in (1, 1, 2, 3)] + [""]
    assert len(moments(promoted.lake, SHOP, SHADOWS)) == 3


def test_nothing_is_done_where_nobody_was_champion_before(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    scoring = score(place, reader(place), AS_OF)
    assert scoring is not None
    assert scoring.shadow == ""
    assert not place.lake.exists(SHOP, SHADOWS)


def test_nothing_is_done_where_it_is_off(promoted: Deployment) -> None:
    own = reader(promoted)
    settings = own.customer.retraining.model_copy(update={"shadow_nights": 0})
    off = replace(own, customer=own.customer.model_copy(update={"retraining": settings}))
    scoring = score(promoted, off, TEST_MOMENT)
    assert scoring is not None
    assert scoring.shadow == ""
    assert not promoted.lake.exists(SHOP, SHADOWS)


def test_a_former_champion_that_is_broken_stops_no_scoring(promoted: Deployment) -> None:
    for path, _ in promoted.registry.paths(SHOP, MODEL, 1).values():
        Path(promoted.lake.root, path).write_bytes(b"broken")
    night = scored(promoted)
    assert night.version is not None
    assert night.shadow.startswith("the former champion does not answer in shadow: BrokenModelError")


def test_a_user_who_is_forgotten_is_in_no_shadow_and_the_others_are_measured(promoted: Deployment) -> None:
    scored(promoted)
    rows = UserRows(promoted.lake, promoted.stages, promoted.customer(SHOP))
    assert SHADOWS in rows.tables()
    assert rows.delete(rows.traces("u07"), of_nobody=False)[SHADOWS] == 1
    assert "u07" not in {row["user_id"] for row in promoted.lake.arrow(SHOP, SHADOWS).to_pylist()}
    measure_gain(promoted, reader(promoted), AS_OF)
    [row] = retrainings.rows_of(promoted.lake, SHOP, MODEL)
    # 20 regulars over 15 who stay away; 5 of the 19 others tie with 14 or 15 of them, whoever was forgotten.
    assert row["measured_gain"] == pytest.approx(2 * (20 * 14 + 5 * 14 / 2) / (25 * 14) - 1)

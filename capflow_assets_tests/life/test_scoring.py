"""Predictions: ranks by hand, who scores where the champion is broken, and skew that keeps the last good ones."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Candidate, Examples
from capflow_assets.errors import ModelError
from capflow_assets.life.answers import rows_of, schema_of
from capflow_assets.life.scoring import score
from capflow_assets.life.scoring_version import load_scoring_version, scoring_version, succession
from capflow_assets.life.training import Trained, train
from capflow_assets.life.training_answers import TrainingAnswers
from capflow_assets.stores.moments import moments
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

STRICT = f"{TOML}[checks.skew]\nfill_block_pct = 0.0\njs_block = 0.0\nfill_warn_pct = 0.0\njs_warn = 0.0\n"


def predicted(*scores: float | None) -> pd.DataFrame:
    users = pd.Index([f"u{number}" for number in range(len(scores))], name="user_id")
    return pd.DataFrame({"score": np.array(scores, dtype=float)}, index=users)


def test_percentile_decile_and_band_by_hand() -> None:
    """Of four users, two are tied in the middle, and stand there: one is lower, and half of two are equal."""
    frame = rows_of(REGULARS, predicted(1.0, 2.0, 2.0, 3.0), 7, AS_OF).set_index("user_id")
    assert frame["percentile"].to_list() == [12.5, 50.0, 50.0, 87.5]
    assert frame["decile"].to_list() == [2, 5, 5, 9]
    assert frame["band"].to_list() == ["low", "medium", "medium", "high"]
    assert frame["model_version"].unique() == [7]
    assert frame["as_of"].unique() == [AS_OF]
    assert frame["reasons"].unique() == [""]


def test_a_user_without_a_score_has_no_rank() -> None:
    frame = rows_of(REGULARS, predicted(1.0, None, 2.0), 1, AS_OF).set_index("user_id")
    assert frame.loc["u1", ["percentile", "decile", "band"]].isna().all()
    assert frame["percentile"].to_list()[::2] == [25.0, 75.0], "ranks are among those who have one"


def test_the_columns_of_a_models_own_get_the_type_of_their_values() -> None:
    own = predicted(1.0).assign(is_new=True, visits=3, share=0.5, segment="loyal")
    schema = schema_of(REGULARS, rows_of(REGULARS, own, 1, AS_OF))
    names = ("score", "model_version", "is_new", "visits", "share", "segment")
    types = [str(schema.field(name).type) for name in names]
    assert types == ["double", "int32", "bool", "int64", "double", "string"]


def test_without_a_champion_nobody_is_scored(untrained: Path) -> None:
    place = deployment(untrained)
    assert score(place, reader(place), AS_OF) is None
    assert scoring_version(place.registry, SHOP, MODEL, REGULARS).version is None
    assert not place.lake.exists(SHOP, f"predictions/{MODEL}")


def test_the_champion_scores_every_user(trained_shop: Path) -> None:
    """As of 30 June, 15 users have come once, 5 twice, 20 six times, and u40 once."""
    place = deployment(trained_shop)
    scored = score(place, reader(place), AS_OF)
    assert scored is not None
    assert (scored.champion, scored.version, scored.warning) == (1, 0, "")
    assert scored.skew.passed
    table = place.lake.arrow(SHOP, f"predictions/{MODEL}").to_pandas().set_index("user_id")
    assert table["score"].value_counts().to_dict() == {1.0: 16, 2.0: 5, 6.0: 20}
    assert table.loc["u40", "percentile"] == round(100 * 8 / 41, 2)
    assert table.loc["u00", "percentile"] == round(100 * 18.5 / 41, 2)
    assert table.loc["u39", ["percentile", "decile", "band"]].to_list() == [round(100 * 31 / 41, 2), 8, "high"]
    assert table["is_known"].all()
    kept = place.lake.arrow(SHOP, f"answers/{MODEL}").to_pandas().set_index("user_id")
    assert kept["score"].to_dict() == table["score"].to_dict(), "what was answered can be held against what comes"
    assert (kept["as_of"] == AS_OF).all()


def test_rows_unlike_those_of_the_training_leave_the_last_predictions(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    score(place, reader(place), AS_OF)
    (trained_shop / "customers" / f"{SHOP}.toml").write_text(STRICT)
    # Nobody but the first 40 is known in January, all by one visit; the champion knows up to six.
    january = AS_OF.replace(month=1, day=20)
    scored = score(place, reader(deployment(trained_shop)), january)
    assert scored is not None
    assert scored.version is None
    assert (scored.skew.passed, scored.skew.severity) == (False, "block")
    assert scored.totals.rows == len(scored.answers) == 40, "what was not written is given back, for drift"
    assert place.lake.version(SHOP, f"predictions/{MODEL}") == 0
    assert moments(place.lake, SHOP, f"answers/{MODEL}") == [AS_OF], "what was not given is not kept"


class Asked(Visits):
    """Scores a user by how often this user was asked about since the version was fitted or loaded."""

    asked: ClassVar[Counter[str]] = Counter()

    def predict(self, examples: Examples) -> pd.DataFrame:
        self.asked.update(examples.columns.index)
        return super().predict(examples).assign(score=[float(self.asked[user]) for user in examples.columns.index])


def test_what_a_training_answered_is_not_asked_again_and_written_to_the_digit(shop: Path) -> None:
    described = replace(
        REGULARS, fitted="now", beats="not worse", candidates=(Candidate("asked", Asked), REGULARS.baseline)
    )
    place = deployment(shop, described)
    with TrainingAnswers() as kept:
        trained = train(place, reader(place), RegularsParams(), AS_OF, kept)
        assert isinstance(trained, Trained)
        place.registry.promote(SHOP, MODEL, trained.version, "")
        times = Asked.asked["u40"]
        scored = score(place, reader(place), AS_OF, kept=kept)
        assert scored is not None
        table = place.lake.arrow(SHOP, f"predictions/{MODEL}").to_pandas().set_index("user_id")
        assert table.loc["u40", "score"] == times, "as the training was answered"
        earlier = score(place, reader(place), AS_OF.replace(day=29), kept=kept)
        assert earlier is not None
        assert earlier.answers.loc["u40", "score"] > times, "of another moment nothing is kept"
    after = score(place, reader(place), AS_OF, kept=kept)
    assert after is not None
    assert after.answers.loc["u40", "score"] > times, "files are gone with the run"


@pytest.mark.parametrize("shape", ["score", "list"])
def test_kept_answers_are_in_the_order_of_those_who_are_asked_about(shape: str) -> None:
    users = pd.Index(["u1", "u2", "u3"], name="user_id")
    rows = users if shape == "score" else users.repeat(2)
    answers = pd.DataFrame({"score": np.arange(len(rows)) / 7, "item_id": pd.array(range(len(rows)), "Int64")}, rows)
    known = Examples(pd.DataFrame(index=users), None, {}, (AS_OF,), "UTC")
    turned = Examples(pd.DataFrame(index=users[::-1]), None, {}, (AS_OF,), "UTC")
    with TrainingAnswers() as kept:
        kept.keep("abc", AS_OF, known, answers)
        pd.testing.assert_frame_equal(kept.of("abc", AS_OF, known), answers)
        pd.testing.assert_frame_equal(kept.of("abc", AS_OF, turned), pd.concat([answers.loc[[u]] for u in users[::-1]]))
        assert kept.of("abd", AS_OF, known) is None
        assert kept.of("abc", AS_OF, Examples(pd.DataFrame(index=users[:2]), None, {}, (AS_OF,), "UTC")) is None


@pytest.fixture
def promoted_twice(trained_shop: Path) -> Path:
    """Versions 1 and 2, both of the same files; 2 is champion."""
    registry = deployment(trained_shop).registry
    files = {"reference.json": registry.file(SHOP, MODEL, 1, "reference.json")}
    content = registry.read(SHOP, MODEL, 1, "model/model.skops")
    registry.promote(SHOP, MODEL, registry.register(SHOP, MODEL, content, registry.report(SHOP, MODEL, 1), files), "")
    return trained_shop


@pytest.mark.parametrize("name", ["model/model.skops", "report/report.json", "report/reference.json"])
def test_where_the_champions_files_are_broken_the_one_before_it_scores(promoted_twice: Path, name: str) -> None:
    place = deployment(promoted_twice)
    assert list(succession(place.registry, SHOP, MODEL)) == [2, 1]
    assert scoring_version(place.registry, SHOP, MODEL, REGULARS).version == 2
    (Path(place.registry.artifacts(SHOP, MODEL, 2)) / name).write_bytes(b"{}")
    now = scoring_version(place.registry, SHOP, MODEL, REGULARS)
    assert (now.champion, now.version) == (2, 1)
    assert [version for version, _ in now.broken] == [2]
    assert "version 1 answers in its place" in now.warning
    assert f"capflow rollback {SHOP} {MODEL}" in now.warning
    loaded = load_scoring_version(place, reader(place))
    assert loaded is not None
    assert (loaded.version, loaded.population.as_of, loaded.warning) == (1, AS_OF, now.warning)


def test_where_no_version_can_be_loaded_scoring_fails_and_says_what_to_do(promoted_twice: Path) -> None:
    place = deployment(promoted_twice)
    for version in (1, 2):
        shutil.rmtree(place.registry.artifacts(SHOP, MODEL, version))
    with pytest.raises(ModelError, match="the last good predictions stay") as caught:
        load_scoring_version(place, reader(place))
    assert f"capflow run {SHOP} --select models/{MODEL},predictions/{MODEL}" in str(caught.value)
    assert [version for version, _ in scoring_version(place.registry, SHOP, MODEL, REGULARS).broken] == [2, 1]


def test_many_users_are_scored_some_at_a_time_and_ranked_among_all(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    whole = score(place, reader(place), AS_OF)
    at_once = place.lake.arrow(SHOP, f"predictions/{MODEL}").to_pandas()
    parts = score(place, reader(place), AS_OF, at_once=10)
    some_at_a_time = place.lake.arrow(SHOP, f"predictions/{MODEL}").to_pandas()
    assert whole is not None
    assert parts is not None
    assert 0 < len(parts.examples) < len(whole.examples) == 41
    assert parts.totals == whole.totals
    assert parts.totals.bands == {"low": 16, "medium": 5, "high": 20}, "the middles of 41: 8, 18.5 and 31"
    in_order = some_at_a_time.sort_values("user_id", ignore_index=True)
    pd.testing.assert_frame_equal(in_order, at_once.sort_values("user_id", ignore_index=True), check_exact=True)

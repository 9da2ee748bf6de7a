"""Every model goes its whole way, from its training to the pages, in the same life as all models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.models.market import CUSTOMER, NAMES, NEWS_MODEL


@pytest.mark.timeout(1200)
def test_every_model_goes_its_whole_way(market: TestHome, tmp_path: Path) -> None:
    """Trained, registered, scored, watched and reported: what a model file declares fits its life."""
    home = market.copied(tmp_path / "home")
    # One process: each more imports everything, and computes nothing else.
    home.ok("run", CUSTOMER, "--select", "models,predictions,health", "--processes", "1")
    status = home.status(CUSTOMER)
    assert set(status) == set(NAMES)
    # Nothing new is listed there, and so it is told.
    assert status.pop(NEWS_MODEL)["status"] == "not ready"
    assert {row["status"] for row in status.values()} <= {"promoted", "not promoted", "asks"}
    for name, row in status.items():
        report = home.report(CUSTOMER, name)
        assert report["question"] == STAGES.model(name).model.question
        assert home.ok("explain", CUSTOMER, name).startswith(f"{CUSTOMER}.{name}, version {report['version']} ")
        if row["champion"] is None:
            assert not STAGES.model(name).model.baseline.may_answer, name
            continue
        rows = home.rows(f"predictions/{name}", CUSTOMER)
        assert rows, name
        assert {cell["rung"] for cell in rows} == {"own" if row["status"] == "promoted" else "rule"}
        assert {cell["model_version"] for cell in rows} == {row["champion"]}


def test_new_items_are_ranked_the_whole_way(own_homes: Callable[[str], TestHome], tmp_path: Path) -> None:
    home = own_homes(NEWS_MODEL).copied(tmp_path / "home")
    home.ok("run", CUSTOMER, "--select", f"models/{NEWS_MODEL},predictions/{NEWS_MODEL},health/{NEWS_MODEL}")
    assert home.status(CUSTOMER)[NEWS_MODEL]["status"] == "promoted"
    sold = {row["item_id"] for row in home.rows("clean/line_items", CUSTOMER)}
    listed = {row["item_id"] for row in home.rows(f"predictions/{NEWS_MODEL}", CUSTOMER)}
    assert listed
    assert sold.isdisjoint(listed)

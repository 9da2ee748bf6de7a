"""``[features.NAME]`` in a customer's TOML: checked when it is onboarded, and obeyed by tables and models alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import TestHome


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    brand = tiny("acme", seed=5, users=60, days=200, sends=("bills", "line_items", "items"))
    return write(simulate(brand), tmp_path_factory.mktemp("files"))


def onboarded(root: Path, toml: Path, settings: str) -> TestHome:
    home = TestHome(root, has_pictures=False)
    own = toml.with_name("own.toml")
    own.write_text(toml.read_text() + settings)
    home.ok("onboard", str(own), "--replace") if (root / "customers").exists() else home.ok("onboard", str(own))
    return home


SELECT = "+features/user_item,+features/sequence"


def test_what_is_set_holds(tmp_path, toml):
    settings = "\n[features.user_item]\nhalf_life_days = 7\n[features.sequence]\nvisits = 2\n"
    one, other = onboarded(tmp_path / "one", toml, ""), onboarded(tmp_path / "other", toml, settings)
    for home in (one, other):
        home.ok("run", "acme", "--select", SELECT)
    decayed = [
        sum(row["decayed_purchases"] for row in home.rows("features/user_item", "acme")) for home in (one, other)
    ]
    assert 0 < decayed[1] < decayed[0] / 2
    longest = [max(row["position"] for row in home.rows("features/sequence", "acme")) for home in (one, other)]
    assert longest[1] == 2 < longest[0]


def test_another_setting_makes_the_table_anew(tmp_path, toml):
    home = onboarded(tmp_path / "home", toml, "")
    home.ok("run", "acme", "--select", SELECT)
    before = home.rows("features/user_item", "acme")
    onboarded(tmp_path / "home", toml, "\n[features.user_item]\nhalf_life_days = 7\n")
    home.ok("run", "acme", "--select", "features/user_item")
    assert home.rows("features/user_item", "acme") != before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[features.user_itm]\nhalf_life_days = 7", ["features.user_itm", "did you mean 'user_item'?"]),
        ("[features.user_item]\nhalf_life = 7", ["features.user_item.half_life is no key", "half_life_days"]),
        (
            "[features.user_item]\nhalf_life_days = 0",
            ["features.user_item.half_life_days", "at least 1"],
        ),
        ('[features.text]\nencoder = "glove"', ["features.text", "path"]),
        ("[features]\nuser_item = 3", ["features.user_item", "keys and values"]),
    ],
)
def test_a_mistake_is_reported_when_the_customer_is_onboarded(tmp_path, toml, settings, words):
    own = toml.with_name("wrong.toml")
    own.write_text(f"{toml.read_text()}\n{settings}\n")
    said = TestHome(tmp_path).capflow("onboard", str(own))
    assert said.code == 1
    for word in words:
        assert word in said.err


def test_settings_reach_the_examples_of_models():
    own = STAGES.of_customer(["bills", "line_items"], {}, {"user_item": {"half_life_days": 7}})
    bound = own.tables["features/user_item"]
    for function in (bound.function, bound.advanced):
        assert function.keywords["params"].half_life_days == 7  # type: ignore[union-attr]
    assert own.tables["features/sequence"].function is STAGES.tables["features/sequence"].function

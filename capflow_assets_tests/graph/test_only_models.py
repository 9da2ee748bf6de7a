"""A customer that is to have some of the models, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets_doubles.homes import TestHome

CHOSEN = "rfm_segments"


def with_all(home: TestHome) -> str:
    """The customer's TOML without a choice of models."""
    lines = (home.root / "customers" / "young.toml").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("only_models"))


@pytest.fixture(scope="module")
def choosy(bills_only: TestHome, tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """The young customer, with one model."""
    home = bills_only.copied(tmp_path_factory.mktemp("choosy") / "home")
    toml = home.root / "customers" / "young.toml"
    toml.write_text(f'only_models = ["{CHOSEN}"]\n{with_all(home)}')
    home.ok("run", "young")
    return home


def test_the_others_are_off_and_not_computed(choosy: TestHome) -> None:
    status = choosy.status("young")
    assert status.pop(CHOSEN)["readiness"] != "off"
    assert {row["readiness"] for row in status.values()} == {"off"}
    assert {row["status"] for row in status.values()} == {"off"}
    assert {row["model"] for row in choosy.rows("validation/readiness", "young")} <= {CHOSEN, None}


def test_one_that_is_selected_says_why_it_does_nothing(choosy: TestHome) -> None:
    other = next(name for name in STAGES.models if name != CHOSEN)
    said = choosy.capflow("run", "young", "--select", f"models/{other}")
    assert said.code == 0, said.err
    assert choosy.status("young")[other]["reason"] == "only_models of the customer's TOML leaves it out"


def test_the_matrix_shows_them_apart(choosy: TestHome) -> None:
    assert f"{len(STAGES.models) - 1} off" in choosy.ok("status")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('only_models = ["rfm_segment"]', "rfm_segments"),
        ("promotion.rfm_segment = 'ask'", "rfm_segments"),
        ("promotion.rfm_segments = 'sometimes'", "'automatic', 'dry run' or 'ask'"),
    ],
)
def test_unknown_names_and_modes_are_refused(choosy: TestHome, tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "young.toml"
    file.write_text(f"{line}\n{with_all(choosy)}")
    said = choosy.capflow("onboard", str(file), "--replace")
    assert said.code == 1
    assert words in said.err

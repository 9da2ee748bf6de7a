"""The model file that the documentation shows is one: read, trained, promoted and asked on a shop of 41 users."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.blueprint.model_reading import read_model
from capflow_assets.definitions import STAGES
from capflow_assets.life.scoring import score
from capflow_assets.life.training import Trained, train
from capflow_assets_tests.life.shop import AS_OF, MODEL, SHOP, deployment, reader, write_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE = Path(__file__).parents[1] / "docs" / "own_model.md"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's model file, imported."""
    section = PAGE.read_text(encoding="utf-8")
    (code,) = section.split("```python\n")[1:]
    (tmp_path / "next_spend.py").write_text(code.split("```")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("next_spend")


def test_the_model_of_the_documentation_can_be_trained_and_asked(own: Any, spark: SparkSession, tmp_path: Path) -> None:
    spec = read_model("next_spend", own, STAGES.tables)
    assert spec.edges["models/next_spend"] == {"clean/bills", "features/rfm"}
    root = tmp_path / "home"
    write_shop(root, spark)
    place = deployment(root, own.MODEL)
    result = train(place, reader(place), own.NextSpendParams(), AS_OF)
    assert isinstance(result, Trained)
    assert {judgement.name for judgement in result.report.judgements} == {
        "coverage",
        "beats_baseline",
        "enough",
        "adds_up",
    }
    place.registry.promote(SHOP, MODEL, result.version, "")
    scored = score(place, reader(place), AS_OF)
    assert scored is not None
    users = scored.answers["score"]
    # u39 spent 30 in the last 91 days and 60 in 177; u40 came 15 days ago and spent 10.
    assert users["u39"] == pytest.approx(30 * (0.8 * 30 / 91 + 0.2 * 60 / 177))
    assert users["u40"] == pytest.approx(30 * (0.8 * 10 / 91 + 0.2 * 10 / 15))

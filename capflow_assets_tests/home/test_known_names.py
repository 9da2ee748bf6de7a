"""Names that are mistyped are refused from the folders alone; what the folders do not tell is left to the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.errors import NotFoundError
from capflow_assets.home.known_names import refuse_mistyped_table
from capflow_assets.home.places import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "lake" / "boots" / "features" / "rfm" / "_delta_log").mkdir(parents=True)
    return Home.of(tmp_path, {})


def test_a_table_called_nearly_as_one_that_is_there_is_refused_with_it(home: Home) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'features/rfm'"):
        refuse_mistyped_table(home, "boots", "features/rmf")


def test_a_table_that_others_have_is_not_mistyped(home: Home) -> None:
    (home.root / "lake" / "boots" / "predictions" / "winback" / "_delta_log").mkdir(parents=True)
    refuse_mistyped_table(home, "boots", "features/rhythm")
    refuse_mistyped_table(home, "boots", "predictions/churn")
    with pytest.raises(NotFoundError, match="did you mean 'predictions/winback'"):
        refuse_mistyped_table(home, "boots", "predictions/winbck")


@pytest.mark.parametrize("table", ["features/rfm", "clean/bills", "../features/rmf", "rfm"])
def test_a_table_that_is_there_or_is_like_none_or_is_no_name_is_left_to_the_lake(home: Home, table: str) -> None:
    refuse_mistyped_table(home, "boots", table)


def test_a_lake_that_is_no_folder_is_not_looked_into(tmp_path: Path) -> None:
    refuse_mistyped_table(Home.of(tmp_path, {"CAPFLOW_LAKE": "s3://boots/lake"}), "boots", "features/rmf")

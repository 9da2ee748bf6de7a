"""Whoever may write a customer's prefix, or copied one with its links, leads no command to what is another's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from capflow_assets.errors import TableError
from capflow_assets.stores.lake import STAGING, Lake
from capflow_assets.stores.leftovers import clean
from capflow_assets.stores.places import remove_folder


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake, itself behind a link, in which ``zeta`` has a table and rows that are just landing."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "lake").symlink_to(tmp_path / "disk")
    root = tmp_path / "lake"
    write_deltalake(str(root / "zeta" / "raw" / "bills"), pa.table({"user_id": ["theirs"]}))
    (root / "zeta" / "raw" / "bills" / "landing-now").mkdir()
    (root / "zeta" / "raw" / "bills" / "landing-now" / "part.parquet").write_text("rows")
    (root / "zeta" / "plots").mkdir()
    (root / "zeta" / "plots" / "a.png").write_text("plot")
    (root / "acme").mkdir()
    return Lake(str(root), lambda: pytest.fail("no engine is needed"))


def files(lake: Lake) -> set[str]:
    root = Path(lake.root) / "zeta"
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["", "/raw", "/raw/bills"])
def test_a_table_behind_a_link_is_neither_read_nor_written(lake, name):
    place = Path(f"{lake.root}/acme{name}")
    if not name:
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(f"{lake.root}/zeta{name}")
    before = files(lake)
    with pytest.raises(TableError, match="symbolic link") as caught:
        lake.arrow("acme", "raw/bills")
    assert "zeta/raw/bills" in str(caught.value)
    with pytest.raises(TableError, match="symbolic link"):
        clean(lake, "acme")
    assert files(lake) == before
    assert lake.arrow("zeta", "raw/bills").num_rows == 1


def test_small_files_behind_a_link_are_neither_read_nor_written(lake):
    Path(lake.root, "acme", "plots").symlink_to(Path(lake.root, "zeta", "plots"))
    with pytest.raises(TableError, match="symbolic link"):
        lake.read_bytes("acme", "plots/a.png")
    with pytest.raises(TableError, match="symbolic link"):
        lake.save_bytes("acme", "plots/a.png", b"ours")
    assert Path(lake.root, "zeta", "plots", "a.png").read_text() == "plot"


@pytest.mark.parametrize("name", ["plots", f"{STAGING}.x.1"])
def test_where_a_folder_is_to_go_its_link_goes_and_what_it_leads_to_stays(lake, name):
    before, link = files(lake), Path(lake.root, "acme", name)
    link.symlink_to(Path(lake.root, "zeta"))
    if name == "plots":
        assert remove_folder(str(link)) == 1
    else:
        assert clean(lake, "acme").removed == (name,)
    assert not link.is_symlink()
    assert files(lake) == before


def test_tables_behind_a_link_are_not_among_a_customers(lake):
    Path(lake.root, "acme", "plots").symlink_to(Path(lake.root, "zeta"))
    assert lake.tables("acme") == []
    assert lake.tables("zeta") == ["raw/bills"]

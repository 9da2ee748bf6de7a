"""Tables of which the source has its columns and no row: a list that nobody fills yet, an export that failed."""

from __future__ import annotations

import pytest

from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.sent import COLUMNS, GOOD, HEADER, Sent, assert_reported

COLUMNS_OF = {
    "users": ("user_id", "city"),
    "stores": ("store_id", "city"),
    "coupons": ("coupon_id", "campaign_id"),
}
HEADERS = {f"{name}.csv": ",".join(columns) + "\n" for name, columns in COLUMNS_OF.items()}
TABLES = {
    name: {"source": "csv", "location": f"{name}.csv", "columns": dict(zip(columns, columns, strict=True))}
    for name, columns in {"bills": tuple(COLUMNS), **COLUMNS_OF}.items()
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with a customer of good bills, and of lists that are headers alone."""
    home = TestHome(tmp_path_factory.mktemp("empty") / "home")
    lists = Sent(files={"bills.csv": GOOD, **HEADERS}, more={"tables": TABLES})
    home.ok("onboard", str(lists.into(home.root.parent / "in")))
    home.ok("run", "bad", "--select", "raw,clean/bills,clean/users")
    return home


def test_a_list_that_nobody_fills_yet_lands_without_a_row_and_holds_nothing_up(home):
    assert [home.rows(f"raw/{name}", "bad") for name in COLUMNS_OF] == [[], [], []]
    assert len(home.rows("raw/bills", "bad")) == len(GOOD.splitlines()) - 1
    assert len(home.rows("clean/users", "bad")) == 7


def test_once_it_has_rows_they_land_and_a_header_alone_is_an_export_that_failed(home, tmp_path):
    copy = home.copied(tmp_path / "home")
    users = home.root.parent / "in" / "users.csv"
    users.write_text(HEADERS["users.csv"] + "u1,Oslo\n")
    try:
        copy.ok("run", "bad", "--select", "raw/users")
        assert [row["city"] for row in copy.rows("raw/users", "bad")] == ["Oslo"]
        users.write_text(HEADERS["users.csv"])
        said = copy.capflow("run", "bad", "--select", "raw/users")
        assert_reported(said, "The source of users holds no row; the last good version stays", "users.csv")
        assert [row["city"] for row in copy.rows("raw/users", "bad")] == ["Oslo"]
    finally:
        users.write_text(HEADERS["users.csv"])


def test_what_is_sold_is_never_empty(home, tmp_path):
    copy = home.copied(tmp_path / "home")
    copy.ok("onboard", str(Sent(files={"bills.csv": HEADER}, name="nothing").into(tmp_path / "in")))
    said = copy.capflow("run", "nothing", "--select", "raw/bills")
    assert_reported(said, "The source of bills holds no row")

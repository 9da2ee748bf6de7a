"""Online Retail as a customer: what is known to be wrong with it is counted to the row, and no penny is lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from capflow_assets_doubles.homes import TestHome

if TYPE_CHECKING:
    from pandas import DataFrame

TOML = Path(__file__).with_name("gifts.toml")
DATA = Path(__file__).parents[2] / "shared" / "data" / "online_retail.parquet"
ROWS, MILLS = 541_909, 9_747_747_934
NO_ITEMS = {"POST", "DOT", "C2", "M", "m", "D", "S", "B", "AMAZONFEE", "BANK CHARGES", "CRUK"}
COUNT = re.compile(r"((?:flagged|removed): \w+|came|rejected) ([\d,]+)")

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="Online Retail is not here")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    home = TestHome(tmp_path_factory.mktemp("gifts") / "home")
    home.ok("onboard", str(TOML))
    shown = ",".join(f"validation/{name}" for name in ("report", "kpis", "distributions", "retention"))
    home.ok("run", "gifts", "--select", f"raw/line_items,raw/items,clean,{shown}")
    return home


@pytest.fixture(scope="module")
def sent() -> DataFrame:
    frame = pd.read_parquet(DATA)
    return frame.assign(mills=(frame["Quantity"] * frame["UnitPrice"] * 1000).round().astype(int))


def table(home: TestHome, name: str) -> DataFrame:
    file = home.root.parent / f"{name.replace('/', '_')}.parquet"
    if not file.exists():
        home.ok("show", name, "--customer", "gifts", "--output", str(file))
    return pd.read_parquet(file)


@pytest.fixture(scope="module")
def lines(home: TestHome) -> DataFrame:
    """All rows that cleaning keeps, equal ones included."""
    kept = table(home, "clean/line_items")
    return kept.assign(mills=(kept["amount"] * 1000).round().astype(int))


def counts(home: TestHome, name: str) -> dict[str, int]:
    """What `capflow show` says of a table, by reason."""
    shown = " ".join(home.ok("show", name, "--customer", "gifts", "--limit", "0").split())
    return {reason: int(rows.replace(",", "")) for reason, rows in COUNT.findall(shown)}


def flagged(frame: DataFrame, flag: str) -> DataFrame:
    return frame[frame["flags"].str.split(",").map(lambda flags: flag in flags)]


def test_the_file_is_the_one_that_is_known(sent):
    assert (len(sent), sent["mills"].sum()) == (ROWS, MILLS)
    assert (sent["CustomerID"].nunique(), sent["InvoiceNo"].nunique(), sent["StockCode"].nunique()) == (
        4_372,
        25_900,
        4_070,
    )


def test_every_row_and_every_penny_is_somewhere(home, lines, sent):
    """The same rows, as often as they were sent."""
    assert counts(home, "raw/line_items") == {"came": ROWS}
    assert not any(reason.startswith("removed") for reason in counts(home, "clean/line_items"))
    assert (len(lines), lines["mills"].sum()) == (ROWS, MILLS)
    theirs = pd.DataFrame(
        {
            "bill_id": sent["InvoiceNo"],
            "item_id": sent["StockCode"],
            "item_name": sent["Description"],
            "user_id": sent["CustomerID"].str.removesuffix(".0"),
            "billed_at": sent["InvoiceDate"].dt.tz_localize("Europe/London").dt.tz_convert("UTC").astype("int64"),
            "quantity": sent["Quantity"].astype(float),
            "mills": sent["mills"],
        }
    )
    ours = lines.assign(billed_at=pd.to_datetime(lines["billed_at"], utc=True).astype("datetime64[ns, UTC]"))
    ours["billed_at"] = ours["billed_at"].astype("int64")
    names = list(theirs.columns)
    assert ours.groupby(names, dropna=False).size().equals(theirs.groupby(names, dropna=False).size())


@pytest.mark.parametrize(
    ("flag", "rows"),
    [
        ("anonymous", 135_080),
        ("negative_quantity", 10_624),
        ("cancellation", 9_288),
        ("zero_amount", 2_515),
        ("negative_price", 2),
        ("not_an_item", 2_912),
        ("repeated", 5_268),
    ],
)
def test_what_is_odd_is_flagged_to_the_row(home, lines, flag, rows):
    """Every row has its flags, repeated ones too."""
    assert len(flagged(lines, flag)) == rows
    assert counts(home, "clean/line_items")[f"flagged: {flag}"] == rows


def test_the_flags_are_on_the_right_rows(lines, sent):
    def ids(frame: DataFrame, bill: str, item: str) -> list[tuple[str, str, int]]:
        return sorted(zip(frame[bill], frame[item], frame["mills"], strict=True))

    expected = {
        "anonymous": sent["CustomerID"].isna(),
        "negative_quantity": sent["Quantity"] < 0,
        "cancellation": sent["InvoiceNo"].str.startswith("C"),
        "zero_amount": sent["UnitPrice"] == 0,
        "negative_price": sent["UnitPrice"] < 0,
        "not_an_item": sent["StockCode"].isin(NO_ITEMS),
        "repeated": sent.duplicated(),
    }
    for flag, those in expected.items():
        assert ids(flagged(lines, flag), "bill_id", "item_id") == ids(sent[those], "InvoiceNo", "StockCode"), flag
    assert {flag for flags in lines["flags"].unique() for flag in flags.split(",") if flag} == set(expected)
    assert round(100 * len(flagged(lines, "anonymous")) / ROWS, 2) == 24.93
    assert len(flagged(lines, "zero_amount")) + len(flagged(lines, "negative_price")) == 2_517


def test_equal_rows_are_as_many_purchases_and_can_be_left_out(lines, sent):
    assert sent.duplicated().sum() == 5_268
    once = lines[~lines["flags"].str.contains("repeated")]
    assert once["mills"].sum() == sent.drop_duplicates()["mills"].sum()
    assert not lines.duplicated(["bill_id", "line_no"]).any()


def test_a_code_of_several_descriptions_is_one_item_of_the_name_given_most(home, sent):
    names = sent.dropna(subset="Description").groupby("StockCode")["Description"]
    several = set(names.nunique()[lambda number: number > 1].index)
    items = table(home, "clean/items")
    assert (len(items), items["item_id"].nunique(), len(several)) == (4_070, 4_070, 650)
    assert set(flagged(items, "several_descriptions")["item_id"]) == several
    assert set(flagged(items, "not_an_item")["item_id"]) == NO_ITEMS
    said = counts(home, "clean/items")
    assert (said["flagged: several_descriptions"], said["flagged: not_an_item"]) == (650, len(NO_ITEMS))
    assert said["removed: duplicate"] + said["removed: conflicting_duplicate"] + len(items) == ROWS
    often = names.agg(lambda given: given.value_counts().max())
    chosen = sent.groupby(["StockCode", "Description"]).size()
    for item, name in zip(items["item_id"], items["name"], strict=True):
        assert name is None if item not in often else chosen[item, name] == often[item]


def test_the_bills_hold_what_their_rows_hold(home, sent):
    bills = table(home, "clean/bills")
    assert (len(bills), bills["user_id"].nunique(), bills["line_items"].sum()) == (25_900, 4_372, ROWS)
    theirs = sent.groupby("InvoiceNo")["mills"].sum()
    ours = (bills.set_index("bill_id")["amount"] * 1000).round().astype(int)
    assert ours.sort_index().to_dict() == theirs.sort_index().to_dict()
    assert set(bills.loc[bills["is_return"], "bill_id"]) == set(theirs[theirs < 0].index)
    assert counts(home, "clean/bills") == {}


def test_the_report_tells_it(home, sent):
    rows = table(home, "validation/report")
    figures = {
        (row.section, row.name_, row.unit): row.value for row in rows.rename(columns={"name": "name_"}).itertuples()
    }
    odd = {name: rows for (section, name, unit), rows in figures.items() if (section, unit) == ("flags", "line items")}
    assert odd == {
        "anonymous": sent["CustomerID"].isna().sum(),
        "cancellation": sent["InvoiceNo"].str.startswith("C").sum(),
        "negative_price": 2,
        "negative_quantity": (sent["Quantity"] < 0).sum(),
        "not_an_item": sent["StockCode"].isin(NO_ITEMS).sum(),
        "repeated": 5_268,
        "zero_amount": (sent["UnitPrice"] == 0).sum(),
    }
    assert figures["flags", "several_descriptions", "items"] == 650
    assert figures["rows", "line_items", "rows"] == ROWS
    assert round(figures["kpi", "amount_total", "GBP"] * 1000) == MILLS
    bills = sent.groupby("InvoiceNo").agg(user=("CustomerID", "first"), mills=("mills", "sum"))
    assert figures["kpi", "anonymous_share_pct", "%"] == pytest.approx(100 * bills["user"].isna().mean())
    assert figures["kpi", "returns_share_pct", "%"] == pytest.approx(100 * (bills["mills"] < 0).mean())
    page = home.root.parent / "report.html"
    home.ok("report", "gifts", "--output", str(page))
    text = " ".join(re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8")).split())
    assert "line items, cancellation 9,288" in text
    assert "items, several descriptions 650" in text

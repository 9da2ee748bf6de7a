"""Check → send → mark, against folders and against a box that cannot be asked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from capflow_assets.errors import CustomerError
from capflow_assets_tests.nights.brand import AS_OF, LETTERS, NIGHT, USERS, WAREHOUSE, Brand, Letterbox


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    brand = Brand(tmp_path)
    brand.declare(WAREHOUSE)
    brand.score()
    return brand


def rows_there(brand: Brand, folder: str = "out") -> list[dict]:
    import pyarrow.parquet as pq

    files = sorted((brand.root / "files" / folder).rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_predictions_are_delivered_once_with_a_receipt(brand: Brand) -> None:
    result = brand.delivered()
    rows = rows_there(brand)
    assert [row["user_id"] for row in rows] == list(USERS)
    assert rows[0] == {
        "user_id": "ann",
        "score": 0.9,
        "percentile": 100.0,
        "decile": 10,
        "band": "high",
        "reasons": "no visit for 40 days",
        "model_version": 3,
        "rung": "own",
        "as_of": AS_OF,
        "model": "churn",
        "valid_until": AS_OF + timedelta(days=7),
    }
    (receipt,) = brand.ledger.receipts()
    assert (receipt.status, receipt.scored, receipt.delivered, receipt.tries) == ("delivered", 6, 6, 1)
    assert result.receipt == receipt
    assert (result.failure, result.problem) == ("", "")
    files = {file: file.stat().st_mtime_ns for file in (brand.root / "files" / "out").rglob("*.*")}
    assert brand.delivered(now=NIGHT + timedelta(hours=1)).receipt == receipt
    assert {file: file.stat().st_mtime_ns for file in files} == files


def test_another_night_is_another_delivery_and_an_older_one_is_not_sent(brand: Brand) -> None:
    brand.score(days=1)
    brand.delivered()
    brand.score(days=0)
    older = brand.delivered().receipt
    assert older is not None
    assert (older.status, older.delivered) == ("older", 0)
    assert "holds newer predictions" in older.reason
    assert {row["as_of"] for row in rows_there(brand)} == {AS_OF + timedelta(days=1)}


def test_columns_are_chosen_and_renamed(brand: Brand) -> None:
    brand.declare(WAREHOUSE + 'columns = { score = "chance", user_id = "customer" }\n')
    brand.delivered()
    assert rows_there(brand)[1] == {"chance": 0.8, "customer": "bob"}


@pytest.mark.parametrize(
    ("columns", "words"),
    [('{ user_id = "u", scor = "s" }', "did you mean 'score'"), ('{ score = "s" }', "user_id")],
)
def test_columns_that_there_are_not_fail_with_what_there_is(brand: Brand, columns: str, words: str) -> None:
    brand.declare(WAREHOUSE + f"columns = {columns}\n")
    assert words in brand.delivered().failure


def test_ranked_lists_are_lists_or_rows(brand: Brand) -> None:
    said = {"model_version": 1, "rung": "own", "as_of": AS_OF}
    rows = [
        {"user_id": user, "item_id": item, "rank": rank, "score": 1 / rank, "reasons": f"r{rank}"} | said
        for user in ("ann", "bob", "cyd")
        for rank, item in enumerate(("milk", "bread"), 1)
    ]
    brand.write("predictions/next_basket", rows)
    brand.declare(WAREHOUSE.replace("churn", "next_basket"))
    brand.delivered("next_basket")
    there = rows_there(brand)
    assert [(row["user_id"], row["item_id"], row["score"]) for row in there] == [
        (user, ["milk", "bread"], [1.0, 0.5]) for user in ("ann", "bob", "cyd")
    ]
    brand.declare(WAREHOUSE.replace("churn", "next_basket").replace("OUT", "OUT/rows") + 'lists = "rows"\n')
    brand.delivered("next_basket")
    as_rows = rows_there(brand, "out/rows")
    assert [(row["user_id"], row["item_id"], row["rank"]) for row in as_rows] == [
        (row["user_id"], row["item_id"], row["rank"]) for row in rows
    ]


def test_a_row_that_is_refused_is_on_the_receipt_and_named(brand: Brand) -> None:
    brand.declare(LETTERS)
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.scored, receipt.delivered, receipt.refused) == (6, 5, 1)
    assert brand.held_back() == {"dan": "no such letterbox"}
    carried = brand.deployment.lake.arrow("boots", "delivery/carried")["user_id"].to_pylist()
    assert carried == [user for user in USERS if user != "dan"]


def test_a_destination_that_is_down_fails_alone_and_is_tried_again(brand: Brand) -> None:
    brand.declare(LETTERS + WAREHOUSE)
    brand.boxes["letters"] = Letterbox("before")
    post, warehouse = brand.deliver()
    assert "The box is down" in post.failure
    assert post.receipt is not None
    assert (post.receipt.status, post.receipt.delivered) == ("failed", 0)
    assert warehouse.receipt is not None
    assert warehouse.receipt.status == "delivered"
    brand.boxes["letters"] = Letterbox()
    again = brand.deliver()[0].receipt
    assert again is not None
    assert (again.status, again.delivered, again.tries) == ("delivered", 5, 2)


@pytest.mark.parametrize("breaks", ["after", "kill"])
def test_what_nobody_answered_for_is_unknown_and_not_sent_where_it_might_double(brand: Brand, breaks: str) -> None:
    brand.declare(LETTERS)
    brand.boxes["letters"] = Letterbox(breaks)
    if breaks == "kill":
        with pytest.raises(KeyboardInterrupt):
            brand.delivered()
        assert [receipt.status for receipt in brand.ledger.receipts()] == ["sending"]
    else:
        assert "did not answer" in brand.delivered().failure
    brand.boxes["letters"] = Letterbox()
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.status, receipt.scored, receipt.unknown, receipt.adds_up) == ("unknown", 6, 6, True)
    assert "not sent again" in receipt.reason
    assert len((brand.root / "files" / "out.txt").read_text().splitlines()) == 5


def test_a_delivery_that_was_killed_between_sending_and_marking_is_marked_and_not_sent_again(brand: Brand) -> None:
    receipt = brand.delivered().receipt
    assert receipt is not None
    files = {file: file.stat().st_mtime_ns for file in (brand.root / "files" / "out").rglob("*.*")}
    brand.deployment.lake.delta("boots", "delivery/receipts").delete()
    again = brand.delivered().receipt
    assert again is not None
    assert (again.status, again.delivered, again.checksum) == ("delivered", 6, receipt.checksum)
    assert {file: file.stat().st_mtime_ns for file in files} == files


def test_a_destination_that_loses_what_it_took_does_not_reconcile(brand: Brand) -> None:
    brand.delivered()
    next((brand.root / "files" / "out").rglob("part-00001.parquet")).unlink()
    assert "does not hold the 6 rows" in brand.delivered().problem


def test_no_predictions_are_nothing_to_deliver(brand: Brand) -> None:
    brand.declare(WAREHOUSE.replace("churn", "winback"))
    assert brand.deliver("churn") == []
    assert brand.delivered("winback").reason == "there are no predictions yet"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (('kind = "parquet"', 'kind = "parket"'), "did you mean 'parquet'"),
        (('models = ["churn"]', 'models = ["chorn"]'), "did you mean 'churn'"),
        (("contact = false", ""), "channel and purpose"),
        (("rows_per_file = 4", "rows_per_fil = 4"), "did you mean 'rows_per_file'"),
        (("contact = false", 'contact = false\nrules = { quiet_hours = ["late", "early"] }'), "two times of the day"),
        (("contact = false", 'contact = false\ncolumns = { user_id = "a", score = "a" }'), "another name for each"),
    ],
)
def test_a_toml_that_is_wrong_is_refused_at_load(brand: Brand, changed: tuple[str, str], words: str) -> None:
    brand.declare(WAREHOUSE.replace(*changed))
    with pytest.raises(CustomerError, match=words):
        brand.deployment.customer("boots")


def test_two_deliveries_of_one_name_are_refused(brand: Brand) -> None:
    brand.declare(WAREHOUSE + WAREHOUSE)
    with pytest.raises(CustomerError, match="a name of its own"):
        brand.deployment.customer("boots")

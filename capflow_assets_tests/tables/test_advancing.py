"""A table that is carried on equals the one made anew; and it is made anew wherever something earlier has changed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.customers.customer import Customer
from capflow_assets.definitions import STAGES
from capflow_assets.stores.fingerprints import fingerprint
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.advancing import Advancing
from capflow_assets.tables.runner import TableRunner
from capflow_assets_doubles.engines import frame_of

LINES = "clean/line_items"
ADVANCED = [key for key, spec in STAGES.tables.items() if spec.advanced]
CUSTOMER = {
    "name": "acme",
    "vertical": "x",
    "currency": "EUR",
    "time_zone": "Europe/Madrid",
    "tables": {
        name: {"source": "csv", "location": "/none.csv", "columns": {"bill_id": "b"}}
        for name in ("bills", "line_items")
    },
}
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def lines(first: int, last: int, seed: int = 3) -> list[dict]:
    """Line items of the days from ``first`` to ``last``, returns and anonymous ones among them."""
    rows = []
    for day in range(first, last):
        own = random.Random(f"{seed} {day}")
        for number in range(own.randrange(6)):
            at = BEGIN + timedelta(days=day, minutes=own.randrange(1440))
            back = own.random() < 0.1
            user = own.choice(["ann", "bob", "ñandú", None])
            for line_no in range(1, own.randrange(2, 5)):
                rows.append(
                    {
                        "bill_id": f"b{day}-{number}",
                        "line_no": line_no,
                        "item_id": own.choice(["tea", "milk", "漢字"]),
                        "user_id": user,
                        "store_id": own.choice(["s1", "s2"]),
                        "billed_at": at,
                        "billed_on": (at + timedelta(hours=1)).date(),
                        "quantity": -1.0 if back else float(own.randrange(1, 4)),
                        "amount": -2.5 if back else own.randrange(1, 900) / 100,
                        "discount": own.choice([None, 0.0, 0.1]),
                        "is_return": back,
                        "flags": "",
                    }
                )
    return rows


def bills(rows: list[dict]) -> list[dict]:
    """The bills that the line items are of."""
    by_id: dict[str, dict] = {}
    for row in rows:
        bill = by_id.setdefault(row["bill_id"], {**row, "amount": 0.0, "line_items": 0, "quantity": 0.0})
        bill["amount"] += row["amount"]
        bill["quantity"] += row["quantity"]
        bill["line_items"] += 1
    return [{**row, "is_return": row["amount"] < 0, "is_anonymous": row["user_id"] is None} for row in by_id.values()]


class Place:
    """One customer's lake, run as of one moment after another."""

    def __init__(self, folder, spark) -> None:
        self.lake, self.spark = Lake(str(folder), lambda: spark), spark
        self.customer = Customer.model_validate(CUSTOMER)

    def send(self, rows: list[dict]) -> None:
        for key, sent in (("clean/line_items", rows), ("clean/bills", bills(rows))):
            self.lake.write(frame_of(self.spark, STAGES.tables[key].table, sent), "acme", key)

    def run(self, key: str, as_of: str, *, full: bool = False):
        """What became of the table, and how."""
        runner = TableRunner(self.lake, STAGES, {}, self.customer, frozenset({key}), as_of, full=full)
        (result,) = runner.run()
        assert result.status == "done", result.reason
        return result

    def since(self, key: str, moment: datetime) -> datetime | None:
        return Advancing(self.lake, STAGES, self.customer).since(STAGES.tables[key], moment)

    def rows(self, key: str) -> list[str]:
        return sorted(repr(tuple(row.values())) for row in self.lake.arrow("acme", key).to_pylist())


@pytest.fixture
def place(tmp_path, spark):
    return Place(tmp_path / "lake", spark)


def moment(day: int) -> datetime:
    return BEGIN + timedelta(days=day)


def anew(tmp_path, spark, rows: list[dict], key: str, as_of: str) -> list[str]:
    other = Place(tmp_path / "anew", spark)
    other.send(rows)
    other.run(key, as_of)
    return other.rows(key)


def test_there_are_tables_that_can_be_carried_on():
    assert "features/user_item" in ADVANCED


@pytest.mark.parametrize("key", ADVANCED)
def test_carried_on_day_by_day_equals_made_anew(place, tmp_path, spark, key):
    """Through the middle of days, over weeks without a bill, and over the change to summer time."""
    days = (30, 30.4, 31, 45, 88.5, 90.97, 91, 200)
    for number, day in enumerate(days):
        place.send(lines(0, int(day) + 1 + number % 2))
        before = place.since(key, moment(day))
        assert (before is None) == (number == 0), "only the first is made of all rows"
        place.run(key, moment(day).isoformat())
    assert len(place.rows(key)) >= 3
    assert place.rows(key) == anew(tmp_path, spark, lines(0, 202), key, moment(200).isoformat())


@pytest.mark.parametrize("key", ADVANCED)
def test_nothing_new_is_no_work(place, key):
    place.send(lines(0, 40))
    first = place.run(key, moment(30).isoformat())
    again = place.run(key, moment(30).isoformat())
    assert (again.version, again.rows) == (first.version, first.rows)
    assert again.how == "nothing has changed"
    assert place.run(key, moment(30).isoformat(), full=True).version == first.version + 1


def late(rows: list[dict]) -> list[dict]:
    return [*rows, {**rows[0], "bill_id": "late", "user_id": "bob"}]


def corrected(rows: list[dict]) -> list[dict]:
    return [{**rows[0], "amount": rows[0]["amount"] + 1, "item_id": "tea", "user_id": "ann"}, *rows[1:]]


def gone(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["user_id"] != "ann"]


def swapped(rows: list[dict]) -> list[dict]:
    """The same values, on other rows: sums over columns do not change."""
    (one, other), rest = rows[:2], rows[2:]
    names = ("user_id", "bill_id", "line_no")
    return [{**one, **{n: other[n] for n in names}}, {**other, **{n: one[n] for n in names}}, *rest]


@pytest.mark.parametrize("change", [late, corrected, gone, swapped])
@pytest.mark.parametrize("key", ADVANCED)
def test_what_changed_before_the_moment_is_seen(place, tmp_path, spark, key, change):
    place.send(lines(0, 40))
    place.run(key, moment(30).isoformat())
    assert place.since(key, moment(35)) == moment(30)
    changed = change(lines(0, 40))
    place.send(changed)
    assert place.since(key, moment(35)) is None
    place.run(key, moment(35).isoformat())
    assert place.rows(key) == anew(tmp_path, spark, changed, key, moment(35).isoformat())


@pytest.mark.parametrize("key", ADVANCED)
def test_an_earlier_moment_another_zone_or_a_table_that_was_touched_is_made_anew(place, key):
    place.send(lines(0, 40))
    place.run(key, moment(30).isoformat())
    assert place.since(key, moment(30)) == moment(30)
    assert place.since(key, moment(20)) is None
    zone = place.customer.model_copy(update={"time_zone": "Asia/Tokyo"})
    assert Advancing(place.lake, STAGES, zone).since(STAGES.tables[key], moment(31)) is None
    place.lake.write(place.lake.table("acme", key).filter("user_id <> 'ann'"), "acme", key)
    assert place.since(key, moment(31)) is None


def test_a_fingerprint_tells_rows_apart_and_not_their_order(spark):
    schema = "a string, b string, c double, d array<string>"
    rows = [("x", None, 1.0, ["p"]), (None, "x", 2.0, []), ("y", "z", None, None)]
    original = fingerprint(spark.createDataFrame(rows, schema))
    assert fingerprint(spark.createDataFrame(rows[::-1], schema)) == original
    others = [
        rows[:2],
        [*rows, rows[0]],
        [(None, "x", 1.0, ["p"]), ("x", None, 2.0, []), rows[2]],
        [("x", None, 2.0, ["p"]), (None, "x", 1.0, []), rows[2]],
    ]
    for other in others:
        assert fingerprint(spark.createDataFrame(other, schema)) != original

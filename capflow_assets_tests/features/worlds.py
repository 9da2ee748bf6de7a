"""Generated customers for the tests of all feature blocks: the tables that blocks read, as rows, engine by engine.

Hypothesis draws what a world is made of (its zone, moments, users, times, amounts, what it lacks); a seeded generator
fills its tables from that, since one world of many rows costs an engine no more than one of few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st

from capflow_assets import definitions
from capflow_assets.blueprint.calls import call
from capflow_assets.blueprint.specs import TableSpec
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.random_rows import ordered, value_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]
# Of the recursive features few, so that a world takes seconds; test_recursive_candidates.py has them all.
FEW = {"recursive_candidates": {"depth": 1, "windows_days": [28]}}
RAW = [spec.name for spec in definitions.STAGES.tables.values() if spec.stage == "raw"]
STAGES = definitions.STAGES.of_customer(RAW, {}, FEW)
BLOCKS = tuple(key for key in STAGES.order if key.startswith("features/"))
READ = tuple(
    key
    for key in STAGES.order
    if not key.startswith("features/")
    and any(key == parent.table for b in BLOCKS for parent in STAGES.tables[b].inputs)
)
OPTIONAL = frozenset(key for key in READ if key != "clean/bills")
# A message is opened after it was sent: until then, nobody knows that it will be.
LATER_EVENTS = {"raw/messages": ("opened_at", "clicked_at")}
ZONES = ("Europe/Madrid", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe", "UTC")
MICROSECOND = timedelta(microseconds=1)
# Changes of the clock in Madrid and New York, leap days, new year, midnights, and tills whose clock is wrong.
TURNS = (
    datetime(2024, 3, 31, 0, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 0, tzinfo=UTC),
    datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
    datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    datetime(2024, 11, 3, 5, 30, tzinfo=UTC),
    datetime(2024, 11, 3, 6, 30, tzinfo=UTC),
    datetime(2024, 2, 28, 23, 0, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 0, tzinfo=UTC),
    datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1912, 6, 1, tzinfo=UTC),
    datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
)
NAMES = ("ana", "Ünal", "漢字", "😀", "o'hara", "ΣΊΣΥΦΟΣ", "a,b", "é", "é", "100%", "x" * 200)
AMOUNTS = (0.0, -0.0, 0.1, 0.2, 0.3, 0.125, 2.675, 1.005, -3.0, 1e6, 1e-4, -99_999.9999, 19.99, 5.0, 5.0)
ARROW = {
    "string": "string",
    "double": "float64",
    "int": "int32",
    "bigint": "int64",
    "boolean": "bool",
    "date": "date32",
}


@dataclass(frozen=True)
class World:
    """One customer: its zone, the moments that are asked for, and the rows of each table that it has."""

    zone: str
    moments: tuple[datetime, ...]
    tables: Tables = field(repr=False)

    def with_tables(self, tables: Tables) -> World:
        """The same customer with other rows."""
        return replace(self, tables=dict(tables))

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """How Hypothesis shows it: without the rows, which are many and follow from what was drawn."""
        printer.text(repr(self))


@dataclass(frozen=True)
class Pools:
    """What the rows of a world are drawn from."""

    seed: int
    bills: int
    zone: str
    users: tuple[str, ...]
    times: tuple[datetime, ...]
    amounts: tuple[float, ...]
    days: int


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Customers with anything from no bill to two hundred, as several moments see them."""
    names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=6)
    money = st.integers(-(10**8), 10**9).map(lambda units: units / 10_000)
    instants = st.datetimes(datetime(2022, 12, 1), datetime(2025, 1, 31), timezones=st.just(UTC))  # noqa: DTZ001
    pools = Pools(
        seed=draw(st.integers(0, 2**32)),
        bills=draw(st.sampled_from([200, 0, 1, 2, 60])),
        zone=draw(st.sampled_from(ZONES)),
        users=(*NAMES, *draw(st.lists(names, min_size=1, max_size=4, unique=True))),
        times=(*TURNS, *draw(st.lists(instants, min_size=3, max_size=6))),
        amounts=(*AMOUNTS, *draw(st.lists(money, min_size=3, max_size=6))),
        days=draw(st.sampled_from([400, 3, 30, 1500])),
    )
    moments = draw(st.lists(st.sampled_from(pools.times[:9] + pools.times[len(TURNS) :]), min_size=1, max_size=3))
    lacking = draw(st.sampled_from([frozenset[str](), OPTIONAL]))
    return world_of(pools, tuple(moments), lacking)


def world_of(pools: Pools, moments: tuple[datetime, ...], lacking: Iterable[str] = ()) -> World:
    """The world that is made of these pools; the same pools give the same world."""
    random = Random(pools.seed)
    bills = _bills(pools, random)
    tables: dict[str, list[Row]] = {"clean/bills": bills, "clean/line_items": _line_items(bills, pools, random)}
    for key in READ:
        if key not in tables:
            count = 60 if pools.bills else 0
            tables[key] = _unlike(key, [_row(key, pools, random) for _ in range(count)])
    return World(pools.zone, moments, {key: rows for key, rows in tables.items() if key not in set(lacking)})


def usual(seed: int = 5, bills: int = 150) -> World:
    """A world of usual rows, all known at its one moment in the middle of a day; nothing is lacking."""
    moment = datetime(2024, 6, 30, 10, 20, 30, 123456, tzinfo=UTC)
    times = tuple(moment - timedelta(days=7 * n, minutes=n) for n in range(1, 50))
    world = world_of(Pools(seed, bills, "Europe/Madrid", NAMES, times, (0.0, 1.5, 2.25, 19.99, -3.0), 1), (moment,))
    return world.with_tables({key: list(_split(key, rows, moment)[0]) for key, rows in world.tables.items()})


def _time(pools: Pools, random: Random) -> datetime:
    if random.random() < 0.4:
        return random.choice(pools.times)
    return pools.times[-1] - timedelta(minutes=random.randrange(pools.days * 1440))


def _bills(pools: Pools, random: Random) -> list[Row]:
    rows = []
    for number in range(pools.bills):
        user = random.choice(pools.users) if random.random() < 0.9 else None
        amount, billed_at = random.choice(pools.amounts), _time(pools, random)
        rows.append(
            {
                "bill_id": f"b{number}",
                "user_id": user,
                "store_id": random.choice(["s1", "s2", "店", None]),
                "billed_at": billed_at,
                "billed_on": billed_at.astimezone(ZoneInfo(pools.zone)).date(),
                "amount": amount,
                "discount": random.choice([None, 0.0, 0.5, 1.25]),
                "quantity": random.choice([None, 1.0, 2.5, -1.0]),
                "line_items": random.choice([None, 0, 3]),
                "is_return": amount < 0,
                "is_anonymous": user is None,
            }
        )
    return rows


def _line_items(bills: Sequence[Row], pools: Pools, random: Random) -> list[Row]:
    rows = []
    for bill in bills:
        shared = {name: bill[name] for name in ("bill_id", "user_id", "store_id", "billed_at", "billed_on")}
        for number in range(random.choice([0, 1, 2, 4])):
            quantity, amount = random.choice([0.0, 1.0, 2.0, -1.0, 0.333, None]), random.choice(pools.amounts)
            rows.append(
                {
                    **shared,
                    "line_no": number + 1,
                    "item_id": random.choice(["tea", "ñandú", "i1", "i2", "i3", "ghost"]),
                    "item_name": random.choice(["Tea 100 g", None]),
                    "quantity": quantity,
                    "amount": amount,
                    "discount": random.choice([None, 0.0, 0.1]),
                    "is_return": (quantity or 0.0) < 0 or amount < 0,
                    "flags": "",
                }
            )
    return rows


def _row(key: str, pools: Pools, random: Random) -> Row:
    """A row of any other table: ids that meet those of the bills, times of the pool, anything else that fits."""
    table = STAGES.tables[key].table
    ids = {
        "user_id": pools.users,
        "item_id": ("tea", "ñandú", "i1", "i2", "i3", "i4"),
        "store_id": ("s1", "s2", "店", "s4"),
        "campaign_id": ("c1", "c2", "c3"),
        "coupon_id": ("k1", "k2", "k3", "k4"),
        "department": ("food", "Körper"),
        "category": ("tea", "coffee", "soap"),
        "description": ("green tea, 100 g", "crème brûlée", "石鹸"),
        "latitude": (40.4, -33.9, 89.5),
        "longitude": (-3.7, 179.9, -179.9),
    }
    row = {}
    for column in table.columns:
        may_lack = not column.required and random.random() < 0.2
        if column.name in ids and not may_lack:
            row[column.name] = random.choice(ids[column.name])
        elif column.type == "timestamp" and not may_lack:
            row[column.name] = _time(pools, random)
        else:
            row[column.name] = None if may_lack else value_of(column, random)
    return row


def _unlike(key: str, rows: Iterable[Row]) -> list[Row]:
    """The rows of a table, one of each key, as cleaning and the campaign's or store's own list have it."""
    columns = STAGES.tables[key].table.key
    if not columns:
        return list(rows)
    return list({tuple(row[name] for name in columns): row for row in rows}.values())


# -- engines -----------------------------------------------------------------------------------------------------------


def outcome(spec: TableSpec, engine: SparkSession, world: World, moments: Any) -> DataFrame:
    """What a block makes of a world on an engine, as of one moment or several."""
    values = {"as_of": moments, "zone": world.zone, "currency": "EUR"}
    return call(
        spec, {parent.parameter: _input(parent.table, engine, world, moments) for parent in spec.inputs}, values
    )


def has_all(spec: TableSpec, world: World) -> bool:
    """Whether the world has what the block cannot do without."""
    needed = [parent.table for parent in spec.inputs if not parent.optional]
    there = [_is_there(parent.table, world) for parent in spec.inputs]
    return all(_is_there(key, world) for key in needed) and any(there)


def text(frame: DataFrame) -> list[str]:
    """The rows as sorted text in which any other byte is seen."""
    return ordered(frame.toArrow())


NONE: dict[str, list[str]] = {"only the first": [], "only the second": []}


def difference(one: list[str], other: list[str]) -> dict[str, list[str]]:
    """Some of the rows that only one of the two has."""
    first, second = Counter(one), Counter(other)
    return {"only the first": [*(first - second)][:3], "only the second": [*(second - first)][:3]}


def _is_there(key: str, world: World) -> bool:
    return has_all(STAGES.tables[key], world) if key.startswith("features/") else key in world.tables


def _input(key: str, engine: SparkSession, world: World, moments: Any) -> DataFrame | None:
    if not _is_there(key, world):
        return None
    if key.startswith("features/"):
        table, schema = _feature_table(key, engine, world, moments)
        return engine.createDataFrame(table, schema)
    rows = world.tables[key]
    return engine.createDataFrame(arrow(key, rows)) if rows else frame_of(engine, STAGES.tables[key].table, [])


def _feature_table(key: str, engine: SparkSession, world: World, moments: Any) -> tuple[pa.Table, Any]:
    """A feature table that others are made of, computed once for the world under test."""
    if not _FEATURE_TABLES or _FEATURE_TABLES[0][0] is not world:
        _FEATURE_TABLES[:] = [(world, {})]
    tables, place = _FEATURE_TABLES[0][1], (key, id(engine), moments)
    if place not in tables:
        table = outcome(STAGES.tables[key], engine, world, moments)
        tables[place] = table.toArrow(), table.schema
    return tables[place]


_FEATURE_TABLES: list[tuple[World, dict[tuple[Any, ...], tuple[pa.Table, Any]]]] = []


def arrow(key: str, rows: Sequence[Row]) -> pa.Table:
    """The rows of a table in the types that its schema declares."""
    import pyarrow as pa

    def kind(name: str) -> pa.DataType:
        return pa.timestamp("us", tz="UTC") if name == "timestamp" else pa.type_for_alias(ARROW[name])

    declared = [(column.name, kind(column.type)) for column in STAGES.tables[key].table.columns]
    return pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(declared))


# -- other futures -----------------------------------------------------------------------------------------------------


def _split(key: str, rows: Sequence[Row], moment: datetime) -> tuple[list[Row], list[Row]]:
    """The rows that are known at a moment, and the later ones."""
    time = STAGES.tables[key].table.time
    is_later = [time is not None and row[time] is not None and row[time] > moment for row in rows]
    return (
        [row for row, later in zip(rows, is_later, strict=True) if not later],
        [row for row, later in zip(rows, is_later, strict=True) if later],
    )


def futures(world: World, moment: datetime) -> Iterator[tuple[str, World]]:
    """The same past with other futures: none, one that is shuffled, one with more and wilder rows."""
    parts = {key: _split(key, rows, moment) for key, rows in world.tables.items()}
    yield "no future", world.with_tables({key: past for key, (past, _) in parts.items()})
    shuffled = {key: _shuffled(key, past, future) for key, (past, future) in parts.items()}
    yield "a shuffled future", world.with_tables(shuffled)
    added = {key: [*past, *future, *_planted(key, past, moment + MICROSECOND)] for key, (past, future) in parts.items()}
    yield "an added future", world.with_tables(added)
    yield (
        "other events after the moment",
        world.with_tables(
            {key: [_without_later(key, row, moment) for row in rows] for key, rows in world.tables.items()}
        ),
    )


def _shuffled(key: str, past: list[Row], future: list[Row]) -> list[Row]:
    """The rows in another order, and those of the future with each other's users, amounts and items."""
    random = Random(key)
    columns = {name: [row.get(name) for row in future] for name in ("user_id", "item_id", "amount", "store_id")}
    for values in columns.values():
        random.shuffle(values)
    mixed = [
        {**row, **{name: values[place] for name, values in columns.items() if name in row}}
        for place, row in enumerate(future)
    ]
    rows = [*past, *mixed]
    random.shuffle(rows)
    return rows


def planted(world: World, at: datetime) -> World:
    """The world and more rows of each table that has a time, all at one moment, some of a user who was not there."""
    return world.with_tables({key: [*rows, *_planted(key, rows, at)] for key, rows in world.tables.items()})


def _planted(key: str, rows: Sequence[Row], at: datetime) -> list[Row]:
    table = STAGES.tables[key].table
    if table.time is None:
        return []
    local = at.astimezone(ZoneInfo("Europe/Madrid")).date()
    new: Row = {"amount": 1234.5, "is_return": False, "is_anonymous": False, "billed_on": local}
    additions = []
    for number, row in enumerate(rows[:6]):
        given = {**new, "user_id": "eva" if number < 3 else row.get("user_id"), "store_id": "s9", table.time: at}
        given |= {"bill_id": f"planted{number}", "opened_at": at, "clicked_at": at}
        # An item that nobody lists, or one that has a category.
        given |= {"item_id": "novelty"} if number < 3 else {}
        additions.append({name: given.get(name, value) for name, value in row.items()})
    return additions


def _without_later(key: str, row: Row, moment: datetime) -> Row:
    return {
        name: None if name in LATER_EVENTS.get(key, ()) and value is not None and value > moment else value
        for name, value in row.items()
    }

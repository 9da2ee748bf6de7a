"""A table that a query makes of several inputs: its rows, and what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from capflow_assets.customers.customer import Customer, parse_customer
from capflow_assets.customers.own_places import refuse_own_places
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import CapflowError, CustomerError
from capflow_assets.landing import queries
from capflow_assets.tables.runner import TableRunner
from capflow_assets.tables.table_result import TableResult
from capflow_assets_doubles.landings import KEY, TABLES, Shop
from capflow_assets_tests.landing.query_attacks import LEGITIMATE, offered

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MAPPING = {"bill_id": "order_id", "user_id": "card", "billed_at": "at", "amount": "paid"}
# Two instalments, one payment, none (void), and a payment of no order.
ORDERS = [
    ("1", "2024-03-01 10:00:00", "u1", "ok"),
    ("2", "2024-07-01 11:00:00", "u2", "ok"),
    ("3", "2024-07-02 12:00:00", "u3", "void"),
]
PAYMENTS = [("1", "5.5"), ("1", "4.5"), ("2", "7"), ("9", "100")]
JOINED = """
    with paid as (select `Order ID` as id, sum(try_cast(paid as double)) as paid from payments group by 1)
    select o.`Order ID` as order_id, to_timestamp(o.at) as at, o.card, paid.paid, o.state
    from orders as o left join paid on paid.id = o.`Order ID`
"""


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    shop = Shop(tmp_path, spark)
    shop.sends("orders", ("Order ID", "at", "card", "state"), ORDERS)
    shop.sends("payments", ("Order ID", "paid"), PAYMENTS)
    return shop


def toml(base: object, query: str = JOINED, zone: str = "UTC", **more: Any) -> str:
    inputs = {name: {"source": "csv", "location": f"{name}.csv"} for name in ("orders", "payments")}
    table = {"query": query, "columns": MAPPING, "max_rejected_pct": 100, "inputs": inputs} | more
    head = {"name": "shop", "vertical": "x", "currency": "EUR", "time_zone": zone, "base": str(base)}
    return tomlkit.dumps(head | {"tables": {"bills": table}})


def customer_of(text: str) -> Customer:
    return parse_customer(text, "shop.toml", TABLES, SOURCES)


def lands(shop: Shop, *given: Any, **more: Any) -> TableResult:
    customer = customer_of(toml(shop.folder, *given, **more))
    runner = TableRunner(shop.lake, STAGES, SOURCES, customer, frozenset({"raw/bills"}), key=lambda: KEY)
    (result,) = runner.run()
    return result


def bills(shop: Shop) -> list[tuple[str, str, float]]:
    return [(row["bill_id"], str(row["billed_at"])[:16], row["amount"]) for row in shop.rows("raw/bills")]


# -- what comes of it ------------------------------------------------------------------------------------------------


def test_orders_joined_with_their_payments(shop: Shop) -> None:
    result = lands(shop)
    assert dict(result.counts) == {"came": 3}
    assert bills(shop) == [
        ("1", "2024-03-01 10:00", 10.0),
        ("2", "2024-07-01 11:00", 7.0),
        ("3", "2024-07-02 12:00", None),  # the void order, which nobody paid
    ]


def test_a_row_that_is_rejected_is_named_by_its_ids(shop: Shop) -> None:
    """What a query makes of rows is no line of a file."""
    query = JOINED.replace("to_timestamp(o.at)", "if(o.state = 'void', 'never', o.at)")
    assert dict(lands(shop, query).counts) == {"came": 3, "rejected": 1}
    (rejected,) = shop.rows("raw/bills_rejected")
    assert rejected["source_position"] == "bill_id 3, user_id u3"
    assert rejected["rejected_because"].startswith("billed_at: 'never' is not a timestamp")


def test_a_where_stands_behind_the_query(shop: Shop) -> None:
    assert dict(lands(shop, where="state = 'ok'").counts) == {"came": 2, "left_out": 1}


def test_times_that_a_query_makes_are_those_of_the_customers_zone(shop: Shop) -> None:
    """Winter is an hour, summer two hours before UTC, whether they are made by a function, by a cast or by nobody."""
    for time in ("to_timestamp(o.at)", "cast(o.at as timestamp)", "o.at", "to_timestamp(o.at, 'yyyy-MM-dd HH:mm:ss')"):
        result = lands(shop, JOINED.replace("to_timestamp(o.at)", time), "Europe/Berlin")
        assert result.status == "done", result.reason
        assert [at for _, at, _ in bills(shop)][:2] == ["2024-03-01 09:00", "2024-07-01 09:00"]


def test_a_running_day_that_only_the_first_row_names(shop: Shop) -> None:
    """A till's journal: the day stands on the first line, and holds until another does."""
    shop.sends(
        "orders", ("n", "day", "bill", "total"), [(1, "2024-03-01", "a", 5), (2, "", "b", 7), (3, "2024-03-02", "c", 9)]
    )
    query = """
        select bill, total, max(nullif(day, '')) over (order by cast(n as int)) as day from orders
    """
    columns = {"bill_id": "bill", "billed_at": "day", "amount": "total"}
    inputs = {"orders": {"source": "csv", "location": "orders.csv"}}
    assert lands(shop, query, columns=columns, inputs=inputs).status == "done"
    assert bills(shop) == [
        ("a", "2024-03-01 00:00", 5.0),
        ("b", "2024-03-01 00:00", 7.0),
        ("c", "2024-03-02 00:00", 9.0),
    ]


def test_a_line_that_an_input_cannot_read_is_rejected_by_its_place(shop: Shop) -> None:
    with (shop.folder / "payments.csv").open("a") as file:
        file.write("broken\n")
    result = lands(shop, where="state = 'ok'")
    assert dict(result.counts) == {"came": 3, "rejected": 1, "left_out": 1}
    (rejected,) = shop.rows("raw/bills_rejected")
    assert (rejected["source_position"], rejected["source_row"]) == ("payments.csv:6", "{}")


PLAIN = (
    "select o.`Order ID` as order_id, o.at, o.card, {} as paid from orders as o join payments as p using (`Order ID`)"
)


@pytest.mark.parametrize(
    ("paid", "amounts"),
    [("paid * 2", [11.0, 9.0, 14.0]), ("-paid", [-5.5, -4.5, -7.0]), ("round(paid)", [6.0, 5.0, 7.0])],
)
def test_text_is_a_number_where_only_one_can_stand(shop: Shop, paid: str, amounts: list[float]) -> None:
    assert lands(shop, PLAIN.format(paid)).status == "done"
    assert sorted(amount for _, _, amount in bills(shop)) == sorted(amounts)


def test_text_is_a_number_in_sums_and_beside_one_on_both_engines(spark: SparkSession, jvm: SparkSession) -> None:
    frame = [("a", "1.5"), ("a", "10"), ("b", "2")]
    query = "select k, sum(x) as s, avg(x) as a, max(x * 2) as m from t where x > 1 and x between 1 and 20 group by k"
    judged = queries.judged(query, {"t": ["k", "x"]}, "qtext", texts={"k", "x"})
    for engine in (spark, jvm):
        engine.createDataFrame(
            frame, f"{judged.names['k']} string, {judged.names['x']} string"
        ).createOrReplaceTempView(judged.names["t"])
        rows = sorted(map(tuple, engine.sql(judged.text).collect()))
        engine.catalog.dropTempView(judged.names["t"])
        assert rows == [("a", 11.5, 5.75, 20.0), ("b", 2.0, 2.0, 4.0)]


def test_texts_stay_texts_elsewhere_and_so_do_names_of_the_query() -> None:
    for query in (
        "select k, x from t where x = '1' and x > k and x || 1 = 'a'",
        "with c as (select k, try_cast(x as decimal(9, 2)) as x from t) select k, x * 2 as y from c",
        "select to_date(x) + interval 1 day as d, x + interval 1 day as e from t",
    ):
        assert " AS DOUBLE)" not in queries.judged(query, {"t": ["k", "x"]}, "qtext", texts={"k", "x"}).text


@pytest.mark.parametrize("paid", ["paid * 2", "cast(paid as double)", "cast(paid as decimal(9, 2))"])
def test_a_text_that_a_query_cannot_read_is_reported_with_its_place(shop: Shop, paid: str) -> None:
    shop.sends("payments", ("Order ID", "paid"), [*PAYMENTS[:2], ("2", "n/a")])
    result = lands(shop, PLAIN.format(paid))
    assert result.status == "failed"
    words = ["A query meets a value that it cannot read", "'n/a', in payments.csv:4 (paid)", "try_cast"]
    assert [word for word in words if word not in result.reason] == []


def test_text_that_a_query_hands_on_is_read_as_its_inputs_say(shop: Shop) -> None:
    shop.sends("orders", ("id", "at", "total"), [("a", "01/03/2024", "1.234"), ("b", "02/03/2024", "1.234,50")])
    options = {"decimal_comma": True, "timestamp_format": "dd/MM/yyyy"}
    inputs = {"orders": {"source": "csv", "location": "orders.csv", "options": options}}
    columns = {"bill_id": "id", "billed_at": "at", "amount": "total"}
    assert lands(shop, "select id, at, total from orders", columns=columns, inputs=inputs).status == "done"
    assert bills(shop) == [("a", "2024-03-01 00:00", 1234.0), ("b", "2024-03-02 00:00", 1234.5)]


def test_a_lateral_views_column_is_asked_outside_of_it(shop: Shop) -> None:
    exploded = PLAIN.format("piece") + " lateral view explode(array(1, 2)) v as piece"
    result = lands(shop, f"{exploded} where piece > 1")
    assert result.status == "failed"
    assert "under WITH" in result.reason
    assert lands(shop, f"with e as ({exploded}) select * from e where paid > 1").status == "done"
    assert [amount for _, _, amount in bills(shop)] == [2.0, 2.0, 2.0]


def test_views_are_gone_afterwards_also_where_the_landing_fails(shop: Shop) -> None:
    before = {view.name for view in shop.spark.catalog.listTables()}
    assert lands(shop).status == "done"
    assert lands(shop, "select upper(card, card) as a, at from orders, payments").status == "failed"
    assert lands(shop, JOINED.replace("to_timestamp(o.at)", "'never'"), max_rejected_pct=0).status == "failed"
    assert {view.name for view in shop.spark.catalog.listTables()} == before


def test_both_engines_give_the_same(spark: SparkSession, jvm: SparkSession) -> None:
    answers = []
    for engine in (spark, jvm):
        with offered(engine) as answer:
            answers.append([sorted(map(str, answer(text).collect())) for text in LEGITIMATE])
    assert answers[0] == answers[1]


# -- what is told ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (JOINED.replace("o.state", "o.stat"), ["'stat'", "did you mean 'state'?"]),
        (JOINED.replace("from orders", "from order"), ["'order'", "did you mean 'orders'?"]),
        ("select count(*) from orders, payments", ["without a name", "give it a name"]),
        ("select * from orders as o join payments as p on o.`Order ID` = p.`Order ID`", ["of one name", "'order id'"]),
        ("select upper(card, card) as a from orders, payments", ["cannot compute", "try_cast"]),
        ("select * from orders", ["does not read one of its inputs", "'payments'"]),
    ],
)
def test_what_is_wrong_with_a_query_is_reported_in_the_customers_own_names(
    shop: Shop, query: str, words: list[str]
) -> None:
    result = lands(shop, query)
    assert result.status == "failed"
    assert [word for word in words if word not in result.reason] == []
    assert "_0" not in result.reason


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"watermark": "at"}, ["tables.bills.watermark", "read as a whole"]),
        ({"source": "csv"}, ["tables.bills.source", "has inputs instead", "tables.bills.location"]),
        ({"inputs": {}}, ["tables.bills.inputs", "1 to 32 inputs"]),
        ({"inputs": {"Orders": {"source": "csv", "location": "o.csv"}}}, ["tables.bills.inputs.Orders"]),
        ({"inputs": {"o": {"source": "cvs", "location": "o.csv"}}}, ["tables.bills.inputs.o.source", "'csv'"]),
        ({"inputs": {"o": {"source": "csv", "location": "o.csv", "options": {"x": 1}}}}, ["inputs.o.options.x"]),
        (
            {"inputs": {"o": {"source": "sql", "location": "postgresql://ann:secret@h/d"}}},
            ["tables.bills.inputs.o.location", "(not shown)"],
        ),
        ({"inputs": {"o": {"source": "csv"}}}, ["tables.bills.inputs.o.location"]),
    ],
)
def test_what_can_be_wrong_about_inputs(more: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(CustomerError) as caught:
        customer_of(toml("/data", **more))
    assert [word for word in words if word not in str(caught.value)] == []
    assert "secret" not in str(caught.value)


def test_inputs_want_a_query_and_a_table_its_source() -> None:
    text = toml("/data").replace("query = ", "where = ")
    with pytest.raises(CustomerError, match="a query beside them"):
        customer_of(text)


def test_every_input_is_looked_at_where_locations_are(tmp_path: Path) -> None:
    customer = customer_of(toml("/data/shop"))
    assert [(origin.key, customer.located(origin.location)) for origin in customer.origins()] == [
        ("tables.bills.inputs.orders", "/data/shop/orders.csv"),
        ("tables.bills.inputs.payments", "/data/shop/payments.csv"),
    ]
    with pytest.raises(CustomerError, match=r"tables\.bills\.inputs\.orders\.location"):
        refuse_own_places(customer, "shop.toml", ["/data/shop/orders.csv"])


def test_fences_know_the_inputs_of_every_customer(tmp_path: Path) -> None:
    from capflow_assets.home import fences
    from capflow_assets.home.places import Home

    home = Home.of(tmp_path / "home", {})
    home.customers.mkdir(parents=True)
    files = tmp_path / "files"
    files.mkdir()
    (home.customers / "shop.toml").write_text(toml(files))
    thief = toml(tmp_path / "other", location="x").replace('name = "shop"', 'name = "thief"')
    thief = thief.replace('"orders.csv"', f'"{files}/orders.csv"').replace('location = "x"\n', "")
    with pytest.raises(CustomerError, match=r"tables\.bills\.inputs\.orders\.location"):
        fences.refuse(home, customer_of(thief), tmp_path / "thief.toml")
    named = {"source": "sql", "location": "sqlite:///a.db", "options": {"query": "x", "password": {"env": "PATH"}}}
    customer = Customer.model_validate(tomlkit.parse(toml(files)).unwrap() | {"tables": {"bills": {
        "query": "select 1 as a from o", "columns": MAPPING, "inputs": {"o": named}}}})  # fmt: skip
    (problem,) = fences.refused_variables(customer, (), {})
    assert "tables.bills.inputs.o.options" in str(problem)


def test_texts_are_what_spark_reads_and_nothing_can_be_read_into_them(spark: SparkSession) -> None:
    texts = [r"'it''s'", r"'x\'; drop'", '"dq"', r"r'\d'", "'a' 'b'", r"'${x} -- \u0041'", r"'\\'"]
    query = ", ".join(f"{text} as t{n}" for n, text in enumerate(texts))
    with offered(spark) as answer:
        (row,) = answer(f"select {query} from orders, payments limit 1").collect()
    assert tuple(row) == ("it's", "x'; drop", "dq", r"\d", "ab", "${x} -- A", "\\")


def test_onboarding_refuses_a_query_before_anything_is_opened() -> None:
    with pytest.raises(CustomerError, match=r"tables\.bills\.query"):
        parse_customer(toml("/data", "select * from csv.`/etc/passwd`"), "shop.toml", TABLES, SOURCES, known_params={})


def test_the_error_of_a_source_names_its_input(shop: Shop) -> None:
    (shop.folder / "payments.csv").unlink()
    result = lands(shop)
    assert result.status == "failed"
    assert "payments.csv" in result.reason
    assert isinstance(result.error, CapflowError)

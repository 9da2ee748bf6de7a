"""Tables of a real MariaDB: upserts, refusals, other schemas, an older delivery after a newer one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC

import pytest

from capflow_assets.delivery.mysql import DESTINATION, NEWER, Options
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.paths import fence
from capflow_assets_doubles.cutting_proxy import cutting_proxy
from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, READER, Server, mariadb
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of

NIGHTLY = delivery_of()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, mariadb() as server:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        yield server


@pytest.fixture
def options(server: Server) -> Options:
    server.run(
        "drop database if exists crm",
        "create database crm character set latin1",
        f"grant all on crm.* to {READER}@'127.0.0.1'",
        database="",
    )
    return Options.model_validate({"location": server.location("crm"), "table": "scores_{model}", **LOGIN})


def run(server: Server, statement: str) -> list[tuple]:
    return server.run(statement, database="crm")


def test_rows_are_there_with_their_types_and_a_receipt(server: Server, options: Options) -> None:
    users = ["ann", "Ann", "ann ", "it's; drop", 'a,"b"\nc', "100 % 雪", "d\0", ""]
    sent = DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, users)))
    there = run(server, "select user, score, items, as_of, capflow_delivery from scores_churn")
    assert {row[0] for row in there} == set(users), "no two of them are one"
    assert there[0][1] == 0.5
    assert json.loads(there[0][2]) == ["i1", "i2"]
    assert (there[0][3].replace(tzinfo=UTC), there[0][4]) == (NIGHTLY.as_of, NIGHTLY.id)
    held = DESTINATION.held(options, NIGHTLY)
    assert held is not None
    assert (sent.rows, held.rows, held.checksum) == (8, 8, sent.checksum)
    assert run(server, "select customer, model, row_count from capflow_receipts") == [("boots", "churn", 8)]
    assert DESTINATION.newest(options, NIGHTLY) == NIGHTLY.as_of


def test_what_is_there_is_there_once_however_often_it_is_sent(server: Server, options: Options) -> None:
    first = DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    assert DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY))) == first
    assert run(server, "select count(*) from scores_churn") == [(3,)]


def test_the_next_night_writes_over_and_an_older_one_does_not(server: Server, options: Options) -> None:
    later = delivery_of(1)
    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann", "bob"], 0.1)))
    DESTINATION.send(options, later, batches_of(rows_of(later, ["ann", "cyd"], 0.2)))
    again = DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann", "bob"], 0.3)))
    assert (again.rows, [(refused.key, refused.reason) for refused in again.refused]) == (1, [(("ann",), NEWER)])
    scores = [("ann", 0.2), ("bob", 0.3), ("cyd", 0.2)]
    assert run(server, "select user, score from scores_churn order by 1") == scores
    assert DESTINATION.newest(options, NIGHTLY) == later.as_of


def test_a_row_that_the_table_refuses_stays_out_alone(server: Server, options: Options) -> None:
    DESTINATION.send(options, NIGHTLY, batches_of([]))
    run(server, "alter table scores_churn add constraint short check (length(reasons) < 20)")
    rows = rows_of(NIGHTLY, ["ann", "bob", "c" * 256, "dan"])
    rows[1]["reasons"] = "a reason that is longer than that"
    sent = DESTINATION.send(options, NIGHTLY, batches_of(rows))
    assert sent.rows == 2
    reasons = {refused.key: refused.reason for refused in sent.refused}
    assert reasons.keys() == {("bob",), ("c" * 256,)}
    assert "short" in reasons["bob",]
    assert "too long" in reasons["c" * 256,]


def test_a_number_that_is_none_is_null(server: Server, options: Options) -> None:
    rows = rows_of(NIGHTLY, ["ann", "bob"])
    rows[0]["score"], rows[1]["items"] = float("nan"), None
    assert DESTINATION.send(options, NIGHTLY, batches_of(rows)).rows == 2
    there = run(server, "select score is null, items is null from scores_churn order by user")
    assert there == [(1, 0), (0, 1)]


def test_a_table_of_another_schema_says_what_to_add(server: Server, options: Options) -> None:
    run(server, "create table scores_churn (user varchar(20) primary key, score double)")
    with pytest.raises(DeliveryError, match="another schema") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    assert "add `reasons` longtext" in str(error.value)
    assert run(server, "show tables") == [("scores_churn",)], "nothing was made"


def test_two_models_in_one_table_are_refused(options: Options) -> None:
    both = options.model_copy(update={"table": "scores"})
    DESTINATION.send(both, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    with pytest.raises(DeliveryError, match="Another model"):
        DESTINATION.send(both, delivery_of(model="winback"), batches_of(rows_of(NIGHTLY)))


def test_another_customers_table_is_refused(server: Server, options: Options) -> None:
    DESTINATION.send(options, delivery_of(customer="shoes"), batches_of(rows_of(NIGHTLY)))
    with pytest.raises(DeliveryError, match="Another customer's predictions") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    assert "shoes/churn" in str(error.value)
    of_shoes = delivery_of(customer="shoes").id
    assert run(server, "select distinct capflow_delivery from scores_churn") == [(of_shoes,)]


@pytest.mark.parametrize("name", ["chance in %s", "a `chance`", "c" * 65])
def test_a_column_that_sql_cannot_name_is_refused_in_words(options: Options, name: str) -> None:
    columns = (NIGHTLY.columns[0], replace(NIGHTLY.columns[1], name=name), *NIGHTLY.columns[2:])
    with pytest.raises(DeliveryError, match="cannot be called so"):
        DESTINATION.send(options, replace(NIGHTLY, columns=columns), batches_of([]))


def test_a_table_that_refuses_all_rows_ends_the_delivery(server: Server, options: Options) -> None:
    DESTINATION.send(options, NIGHTLY, batches_of([]))
    run(server, "alter table scores_churn add must text not null")
    users = [f"u{number}" for number in range(200)]
    with pytest.raises(DeliveryError, match="refused the first 50 rows") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, users), at_once=64))
    assert "must" in str(error.value)


def test_withdrawing_deletes_what_was_written_and_erasing_one_user(server: Server, options: Options) -> None:
    later = delivery_of(1)
    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann", "bob", "cyd"])))
    DESTINATION.send(options, later, batches_of(rows_of(later, ["ann"])))
    assert DESTINATION.erase(options, NIGHTLY, ["bob", "nobody"]).rows == 1
    assert DESTINATION.withdraw(options, NIGHTLY).rows == 1
    assert DESTINATION.withdraw(options, NIGHTLY).rows == 0
    assert run(server, "select user from scores_churn") == [("ann",)]
    assert DESTINATION.held(options, NIGHTLY) is None


def test_a_delivery_that_is_killed_within_leaves_nothing(server: Server, options: Options) -> None:
    def killed() -> Iterator:
        yield from list(batches_of(rows_of(NIGHTLY)))[:1]
        raise KeyboardInterrupt

    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["zoe"])))
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options, delivery_of(1), killed())
    assert run(server, "select user from scores_churn") == [("zoe",)]
    assert DESTINATION.held(options, delivery_of(1)) is None


def test_a_connection_that_ends_after_the_commit_is_unknown_and_the_database_knows_better(
    server: Server, options: Options
) -> None:
    with cutting_proxy(server.port, after=b"\x03COMMIT") as proxy:  # the query, not SET AUTOCOMMIT
        plain = {"location": f"mysql://127.0.0.1:{proxy}/crm", "ssl_mode": "disable"}
        with pytest.raises(DeliveryUnknown, match="did not answer to a commit"):
            DESTINATION.send(options.model_copy(update=plain), NIGHTLY, batches_of(rows_of(NIGHTLY)))
    held = DESTINATION.held(options, NIGHTLY)
    assert held is not None
    assert held.rows == 3
    assert DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY))).rows == 3


@pytest.mark.parametrize("wrong", ["password", "address", "certificate"])
def test_what_cannot_be_reached_says_where_and_shows_no_password(
    options: Options, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "password":
        monkeypatch.setenv(PASSWORD_ENV, "other-than-planted")
    elif wrong == "certificate":  # it signs for itself
        options = options.model_copy(update={"ssl_mode": "verify-full"})
    else:
        options = options.model_copy(update={"location": "mysql://127.0.0.1:1/shop"})
    with pytest.raises(DeliveryError, match="did not do what was asked") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    assert options.location in str(error.value)
    assert "planted" not in str(error.value)


def test_the_server_of_the_deployments_databases_is_no_destination(options: Options) -> None:
    own = fence.Fence(databases=[options.location.replace("mysql://", "mysql+pymysql://mlflow@").replace("crm", "own")])
    with fence.within(own), pytest.raises(DeliveryError, match="own"):
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))

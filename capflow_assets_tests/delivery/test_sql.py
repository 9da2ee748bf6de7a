"""Tables of a real PostgreSQL: upserts, refusals, other schemas, an older delivery after a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from capflow_assets.delivery.sql import DESTINATION, NEWER, NUL, Options
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.paths import fence
from capflow_assets_doubles.cutting_proxy import cutting_proxy
from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, READER, Server, postgres
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of

NIGHTLY = delivery_of()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, postgres() as server:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        server.run(f"grant all on schema public to {READER}")
        yield server


@pytest.fixture
def options(server: Server) -> Options:
    server.run(f"drop schema public cascade; create schema public; grant all on schema public to {READER}")
    return Options.model_validate({"location": server.location(), "table": "scores_{model}", **LOGIN})


def test_rows_are_there_with_their_types_and_a_receipt(server: Server, options: Options) -> None:
    users = ["ann", "it's; drop", 'a,"b"\nc', ""]
    sent = DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, users)))
    there = server.run('select "user", score, items, as_of, capflow_delivery from scores_churn')
    assert {row[0] for row in there} == set(users)
    assert there[0][1:] == (0.5, ["i1", "i2"], NIGHTLY.as_of, NIGHTLY.id)
    held = DESTINATION.held(options, NIGHTLY)
    assert held is not None
    assert (sent.rows, held.rows, held.checksum) == (4, 4, sent.checksum)
    assert server.run("select customer, model, rows from capflow_receipts") == [("boots", "churn", 4)]
    assert DESTINATION.newest(options, NIGHTLY) == NIGHTLY.as_of


def test_the_next_night_writes_over_and_an_older_one_does_not(server: Server, options: Options) -> None:
    later = delivery_of(1)
    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann", "bob"], 0.1)))
    DESTINATION.send(options, later, batches_of(rows_of(later, ["ann", "cyd"], 0.2)))
    again = DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann", "bob"], 0.3)))
    assert (again.rows, [(refused.key, refused.reason) for refused in again.refused]) == (1, [(("ann",), NEWER)])
    assert server.run('select "user", score from scores_churn order by 1') == [("ann", 0.2), ("bob", 0.3), ("cyd", 0.2)]
    assert DESTINATION.newest(options, NIGHTLY) == later.as_of


def test_a_row_that_the_table_refuses_stays_out_alone(server: Server, options: Options) -> None:
    DESTINATION.send(options, NIGHTLY, batches_of([]))
    server.run('alter table scores_churn add constraint short check (length("user") < 5)')
    users = ["ann", "barbara", "cyd", "d\0", "eve"]
    sent = DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, users)))
    assert sent.rows == 3
    assert {refused.key: refused.reason for refused in sent.refused}.keys() == {("barbara",), ("d\0",)}
    assert any("short" in refused.reason for refused in sent.refused)
    assert NUL in [refused.reason for refused in sent.refused]


def test_a_table_of_another_schema_says_what_to_add(server: Server, options: Options) -> None:
    server.run('create table scores_churn ("user" text primary key, score double precision)')
    server.run(f"grant all on scores_churn to {READER}")
    with pytest.raises(DeliveryError, match="another schema") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    assert 'add "reasons" text' in str(error.value)
    assert server.run("select to_regclass('capflow_receipts')") == [(None,)], "nothing was changed"


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
    assert server.run("select distinct capflow_delivery from scores_churn") == [(delivery_of(customer="shoes").id,)]


@pytest.mark.parametrize("name", ["chance in %s", 'a "chance"', "{chance}", "c" * 64])
def test_a_column_that_sql_cannot_name_is_refused_in_words(options: Options, name: str) -> None:
    columns = (NIGHTLY.columns[0], replace(NIGHTLY.columns[1], name=name), *NIGHTLY.columns[2:])
    with pytest.raises(DeliveryError, match="cannot be called so"):
        DESTINATION.send(options, replace(NIGHTLY, columns=columns), batches_of([]))


def test_a_table_that_refuses_all_rows_ends_the_delivery(server: Server, options: Options) -> None:
    DESTINATION.send(options, NIGHTLY, batches_of([]))
    server.run("alter table scores_churn add must text not null")
    users = [f"u{number}" for number in range(200)]
    with pytest.raises(DeliveryError, match="refused the first 50 rows") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, users), at_once=64))
    assert "must" in str(error.value)


def test_lists_without_numbers_or_with_nul_stop_no_other_row(server: Server, options: Options) -> None:
    rows = rows_of(NIGHTLY, ["ann", "bob", "cyd"])
    rows[1]["items"] = ["i1", "i\0"]
    rows[2]["items"] = None
    sent = DESTINATION.send(options, NIGHTLY, batches_of(rows, at_once=3))
    assert (sent.rows, [(refused.key, refused.reason) for refused in sent.refused]) == (2, [(("bob",), NUL)])
    assert server.run('select "user", items from scores_churn order by 1') == [("ann", ["i1", "i2"]), ("cyd", None)]


def test_withdrawing_deletes_what_was_written_and_erasing_one_user(server: Server, options: Options) -> None:
    later = delivery_of(1)
    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann", "bob", "cyd"])))
    DESTINATION.send(options, later, batches_of(rows_of(later, ["ann"])))
    assert DESTINATION.erase(options, NIGHTLY, ["bob", "nobody"]).rows == 1
    assert DESTINATION.withdraw(options, NIGHTLY).rows == 1
    assert DESTINATION.withdraw(options, NIGHTLY).rows == 0
    assert server.run('select "user" from scores_churn') == [("ann",)]
    assert DESTINATION.held(options, NIGHTLY) is None


def test_a_delivery_that_is_killed_within_leaves_nothing(server: Server, options: Options) -> None:
    def killed() -> Iterator:
        yield from list(batches_of(rows_of(NIGHTLY)))[:1]
        raise KeyboardInterrupt

    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["zoe"])))
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options, delivery_of(1), killed())
    assert server.run('select "user" from scores_churn') == [("zoe",)]
    assert DESTINATION.held(options, delivery_of(1)) is None


def test_a_connection_that_ends_after_the_commit_is_unknown_and_the_database_knows_better(
    server: Server, options: Options
) -> None:
    with cutting_proxy(server.port, after=b"COMMIT") as proxy:
        behind = options.model_copy(update={"location": f"postgresql://127.0.0.1:{proxy}/shop"})
        with pytest.raises(DeliveryUnknown, match="did not answer to a commit"):
            DESTINATION.send(behind, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    held = DESTINATION.held(options, NIGHTLY)
    assert held is not None
    assert held.rows == 3
    assert DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY))).rows == 3
    assert server.run("select count(*) from scores_churn") == [(3,)]


def test_a_table_that_takes_rows_and_keeps_none_is_not_believed(server: Server, options: Options) -> None:
    DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY, ["ann"])))
    server.run(
        "create function nothing() returns trigger language plpgsql as 'begin return null; end'",
        "create trigger keeps_nothing before insert on scores_churn for each row execute function nothing()",
    )
    tomorrow = delivery_of(nights=1)
    sent = DESTINATION.send(options, tomorrow, batches_of(rows_of(tomorrow, ["ann", "bob"])))
    assert (sent.rows, sent.refused) == (0, ()), "which the ledger refuses to take for two rows"


@pytest.mark.parametrize("wrong", ["password", "address"])
def test_what_cannot_be_reached_says_where_and_shows_no_password(
    options: Options, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "password":
        monkeypatch.setenv(PASSWORD_ENV, "other-than-planted")
    else:
        options = options.model_copy(update={"location": "postgresql://127.0.0.1:1/shop"})
    with pytest.raises(DeliveryError, match="did not do what was asked") as error:
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))
    assert options.location in str(error.value)
    assert "planted" not in str(error.value)


def test_a_database_of_the_deployment_is_no_destination(options: Options) -> None:
    own = fence.Fence(databases=[options.location.replace("postgresql://", "postgresql://dagster@")])
    with fence.within(own), pytest.raises(DeliveryError, match="own"):
        DESTINATION.send(options, NIGHTLY, batches_of(rows_of(NIGHTLY)))

"""A password is planted; all that a read leaves behind is searched for it, and every way to misplace it is tried."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import sql
from capflow_assets.sources.sql import database_access
from capflow_assets.transfer.secrets import FromEnv, first_line, refuse_credentials
from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, Server, postgres

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Store(BaseModel):
    """Options of some store."""

    password: FromEnv


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, postgres() as database:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        database.run("create table bills as select i as id from generate_series(1, 10) i")
        yield database


def spellings() -> list[str]:
    from urllib.parse import quote, quote_plus

    # The head alone finds it where a quote or a percent sign was escaped in yet another way.
    return [PASSWORD, quote(PASSWORD, safe=""), quote_plus(PASSWORD), "Zx9-planted"]


def test_the_password_is_nowhere(
    spark: SparkSession,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "py4j", "pyspark"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    options = sql.Options(table="bills", **LOGIN)
    left: list[str] = [repr(options), options.model_dump_json(), str(options.model_json_schema())]
    frame = sql.read(spark, server.location(), options)
    assert frame.count() == 10
    frame.explain(extended=True)
    newer = sql.read_newer(spark, server.location(), options, "id", 5)
    assert newer.count() == 6
    for table in (frame, newer):
        plan = table._plan.to_proto(spark.client)
        # The plan holds what the workers run, pickled.
        assert PASSWORD_ENV.encode() in plan.SerializeToString()
        left += [str(plan), repr(plan.SerializeToString()), repr(table), str(table.schema)]
    server.run("drop table bills")
    stopped = "The database|snapshot|There is no"
    for location in (server.location(), server.location("nope"), "postgresql://127.0.0.1:1/shop"):
        with pytest.raises(SourceError, match=stopped) as caught:
            sql.read(spark, location, options)
        left += [str(caught.value), repr(caught.value.__cause__), repr(caught.value.args)]
    broken = sql.read(
        spark,
        server.location(),
        sql.Options(query="select 1 / (i - 5) as x from generate_series(1, 9) i", **LOGIN),
    )
    with pytest.raises(Exception, match="division by zero") as failed:
        broken.collect()
    left += [str(failed.value), caplog.text, *capfd.readouterr()]
    for text in left:
        assert not [spelling for spelling in spellings() if spelling in text], text[:2000]
    assert PASSWORD_ENV in left[0]


@pytest.mark.parametrize(
    "wrong", [PASSWORD, {"env": PASSWORD}, {"env": "A", "value": PASSWORD}, {"vault": PASSWORD}, [PASSWORD], 7, None]
)
def test_a_literal_password_is_refused_unseen(wrong: object) -> None:
    with pytest.raises(ValidationError, match="name of a variable of the environment") as caught:
        Store.model_validate({"password": wrong})
    assert PASSWORD not in str(caught.value) + repr(caught.value.errors())


@pytest.mark.parametrize(
    "location",
    [
        f"postgresql://reader:{PASSWORD}@127.0.0.1/shop",
        "postgresql://reader:Zx9-planted@shop.example.com/shop",
        "mongodb+srv://Zx9-planted@host/db/collection",
        "mysql://host/shop?password=Zx9-planted",
        "mysql://host/shop?read_default_file=Zx9-planted",
    ],
)
def test_credentials_in_a_location_are_refused_unseen(spark: SparkSession, location: str) -> None:
    with pytest.raises(SourceError) as caught:
        sql.read(spark, location, sql.Options(table="bills"))
    assert "Zx9-planted" not in str(caught.value)


def test_locations_without_credentials_pass() -> None:
    for location in ("postgresql://h/db", "/data/a@b.csv", "s3://bucket/key", "dynamodb://eu-west-1/bills"):
        refuse_credentials(location)


def test_secrets_are_read_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = FromEnv(env=PASSWORD_ENV)
    monkeypatch.delenv(PASSWORD_ENV, raising=False)
    with pytest.raises(SourceError, match=PASSWORD_ENV):
        secret.value()
    monkeypatch.setenv(PASSWORD_ENV, "one")
    assert secret.value() == "one"
    monkeypatch.setenv(PASSWORD_ENV, "two")
    assert secret.value() == "two"
    assert "two" not in repr(secret) + str(secret) + secret.model_dump_json()


def test_other_peoples_words_lose_the_secret() -> None:
    for spelling in spellings()[:3]:
        assert "planted" not in first_line(ValueError(f"\n cannot log in with {spelling} at host\nmore"), PASSWORD)
    assert first_line(ValueError("a" * 1000)) == "a" * 300
    assert first_line(ValueError()) == "ValueError"


def test_the_stream_reads_any_password(server: Server) -> None:
    from psycopg2.extensions import parse_dsn

    dsn = parse_dsn(database_access.stream_address(server.location(), sql.Options(table="x", **LOGIN).access()))
    assert (dsn["user"], dsn["password"], dsn["dbname"]) == ("reader", PASSWORD, "shop")

"""Sets of files in a folder and in a bucket: a real folder, and a real S3 server in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from capflow_assets.delivery.parquet import DESTINATION, Options
from capflow_assets.errors import DeliveryError
from capflow_assets.paths import fence
from capflow_assets.transfer.file_places import Login, place_of
from capflow_assets.transfer.secrets import FromEnv
from capflow_assets_doubles.cutting_proxy import cutting_proxy
from capflow_assets_doubles.http_server import Reply, Request, http_server
from capflow_assets_tests.delivery.deliveries import NIGHT, batches_of, delivery_of, rows_of

NIGHTLY = delivery_of()
ROWS = rows_of(NIGHTLY, [f"u{number}" for number in range(5)])


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, Login]]:
    """A prefix of a bucket of a real server, and who may write there."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOOTS_KEY", "x")
        patch.setenv("BOOTS_SECRET", "y")
        login = Login(
            region="us-east-1", endpoint=endpoint,
            access_key=FromEnv(env="BOOTS_KEY"), secret_key=FromEnv(env="BOOTS_SECRET"),
        )  # fmt: skip
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys).create_bucket(Bucket="crm")
        yield "s3://crm/in", login
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Options:
    if request.param == "folder":
        return Options(location=str(tmp_path / "out"), rows_per_file=2)
    address, login = request.getfixturevalue("bucket")
    return Options(location=f"{address}/{tmp_path.name}", rows_per_file=2, login=login)


def contents(options: Options) -> dict[str, bytes | None]:
    place = place_of(options.location, options.login)
    return {name: place.read(name) for name in place.names("boots")}


def test_rows_are_in_parts_of_fixed_names_that_the_manifest_names(options: Options, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sent = DESTINATION.send(options, NIGHTLY, batches_of(ROWS, at_once=3))
    files = contents(options)
    folder = f"boots/churn/20260301T000000000000Z-{NIGHTLY.id[:16]}"
    manifest = json.loads(files.pop(f"{folder}/manifest.json") or b"")
    assert [name.removeprefix(f"{folder}/") for name in files] == [f"part-0000{n}.parquet" for n in range(3)]
    assert [part["rows"] for part in manifest["parts"]] == [2, 2, 1]
    assert (manifest["id"], manifest["rows"], sent.rows) == (NIGHTLY.id, 5, 5)
    rows = pa.concat_tables([pq.read_table(pa.BufferReader(content)) for content in files.values()]).to_pylist()
    assert rows == ROWS
    held = DESTINATION.held(options, NIGHTLY)
    assert held is not None
    assert (held.rows, held.checksum) == (5, sent.checksum)


def test_twice_changes_nothing(options: Options) -> None:
    first = DESTINATION.send(options, NIGHTLY, batches_of(ROWS))
    before = contents(options)
    assert DESTINATION.send(options, NIGHTLY, batches_of(ROWS)) == first
    assert contents(options) == before


def killed_after(count: int) -> Iterator:
    yield from list(batches_of(ROWS))[:count]
    raise KeyboardInterrupt


def test_a_killed_delivery_is_not_held_and_goes_on_without_what_it_no_longer_has(options: Options) -> None:
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options, NIGHTLY, killed_after(2))
    assert len(contents(options)) >= 1
    assert DESTINATION.held(options, NIGHTLY) is None
    assert DESTINATION.newest(options, NIGHTLY) is None
    assert DESTINATION.send(options, NIGHTLY, batches_of(ROWS[:1])).rows == 1
    assert sorted(name.rpartition("/")[2] for name in contents(options)) == ["manifest.json", "part-00000.parquet"]


def test_a_delivery_whose_file_is_gone_is_not_held_and_is_written_again(options: Options) -> None:
    sent = DESTINATION.send(options, NIGHTLY, batches_of(ROWS))
    place = place_of(options.location, options.login)
    place.remove(next(name for name in place.names("boots") if name.endswith("1.parquet")))
    assert DESTINATION.held(options, NIGHTLY) is None
    assert DESTINATION.send(options, NIGHTLY, batches_of(ROWS)) == sent
    assert DESTINATION.held(options, NIGHTLY) is not None


def test_the_newest_moment_is_that_of_whole_deliveries_of_the_model(options: Options) -> None:
    for delivery in (delivery_of(1), NIGHTLY, delivery_of(5, model="winback")):
        DESTINATION.send(options, delivery, batches_of(ROWS))
    assert DESTINATION.newest(options, NIGHTLY) == delivery_of(1).as_of
    assert DESTINATION.newest(options, delivery_of(model="rfm_segments")) is None


def test_withdrawing_takes_back_one_delivery_and_no_other(options: Options) -> None:
    for delivery in (NIGHTLY, delivery_of(1)):
        DESTINATION.send(options, delivery, batches_of(ROWS))
    assert DESTINATION.withdraw(options, delivery_of(1)).rows == 5
    assert DESTINATION.withdraw(options, delivery_of(1)).rows == 0
    assert DESTINATION.newest(options, NIGHTLY) == NIGHT
    assert DESTINATION.held(options, NIGHTLY) is not None


def test_what_others_have_put_there_is_not_read_as_a_delivery_and_stays(options: Options) -> None:
    place = place_of(options.location, options.login)
    DESTINATION.send(options, NIGHTLY, batches_of(ROWS))
    folder = next(iter(place.names("boots"))).rpartition("/")[0]
    theirs = [f"{folder}/loaded.flag", "boots/churn/backup/manifest.json"]
    for name in theirs:
        place.write(name, b"{}")
    assert DESTINATION.newest(options, NIGHTLY) == NIGHT
    assert DESTINATION.withdraw(options, NIGHTLY).rows == 5
    assert sorted(place.names("boots")) == sorted(theirs)


def test_half_a_login_and_an_endpoint_without_keys_are_refused() -> None:
    key = {"env": "BOOTS_KEY"}
    for login in ({"access_key": key}, {"secret_key": key}, {"endpoint": "https://minio.example.com"}):
        with pytest.raises(ValueError, match="access_key and secret_key"):
            Login.model_validate(login)
    with pytest.raises(ValueError, match="without user and password") as error:
        Login.model_validate({"endpoint": "https://us:hush@minio.example.com", "access_key": key, "secret_key": key})
    assert "hush" not in str(error.value)


def test_a_second_sender_with_other_rows_is_told_so(options: Options) -> None:
    def overtaken() -> Iterator:
        yield from batches_of(ROWS)
        DESTINATION.send(options, NIGHTLY, batches_of(ROWS[:2]))

    with pytest.raises(DeliveryError, match="Another sender has finished"):
        DESTINATION.send(options, NIGHTLY, overtaken())


def test_what_the_platform_keeps_is_no_destination(tmp_path: Path) -> None:
    kept = fence.Fence(kept=[str(tmp_path / "lake")], roots=[str(tmp_path)])
    with fence.within(kept), pytest.raises(DeliveryError, match="may not be written"):
        DESTINATION.send(Options(location=str(tmp_path / "lake" / "x")), NIGHTLY, batches_of(ROWS))
    with pytest.raises(ValidationError, match="an absolute folder"):
        Options(location="out")  # onboarding tells, before a night does


def test_a_bucket_that_is_not_there_says_where_and_shows_no_secret(bucket: tuple[str, Login]) -> None:
    with pytest.raises(DeliveryError, match="s3://nobodys/boots/churn") as error:
        DESTINATION.send(Options(location="s3://nobodys", login=bucket[1]), NIGHTLY, batches_of(ROWS))
    assert "NoSuchBucket" in str(error.value)


def at(login: Login, endpoint: str) -> Options:
    return Options(location="s3://crm/in", login=login.model_copy(update={"endpoint": endpoint}))


def test_a_bucket_that_ends_the_connection_after_the_manifest_holds_the_delivery(bucket: tuple[str, Login]) -> None:
    address, login = bucket
    port = int(str(login.endpoint).rpartition(":")[2])
    with cutting_proxy(port, after=b'"parts"') as proxy, pytest.raises(DeliveryError, match="cannot be used"):
        DESTINATION.send(at(login, f"http://127.0.0.1:{proxy}"), NIGHTLY, batches_of(ROWS))
    held = DESTINATION.held(Options(location=address, login=login), NIGHTLY)
    assert held is not None
    assert held.rows == 5


def test_a_bucket_that_takes_everything_and_keeps_nothing_holds_nothing(bucket: tuple[str, Login]) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            return Reply(200, headers={"etag": '"0"'})
        return (
            Reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
            if "list-type" not in request.path
            else Reply(200, b"<ListBucketResult/>")
        )

    with http_server(answer) as address:
        options = at(bucket[1], address)
        assert DESTINATION.send(options, NIGHTLY, batches_of(ROWS)).rows == 5
        assert DESTINATION.held(options, NIGHTLY) is None


def test_a_bucket_that_is_down_says_so(bucket: tuple[str, Login]) -> None:
    with pytest.raises(DeliveryError, match="A bucket cannot be used"):
        DESTINATION.send(at(bucket[1], "http://127.0.0.1:1"), NIGHTLY, batches_of(ROWS))

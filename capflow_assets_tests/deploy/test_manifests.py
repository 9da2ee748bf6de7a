"""The objects of deploy/kubernetes against the Kubernetes client's own models: what an API server would refuse for its
form is refused here. What only a cluster knows (storage classes, ingress classes, operators) is not."""

from __future__ import annotations

import re

import pytest

from capflow_assets_tests.deploy.files import NAMESPACE, load, manifests, text_files, values, walk
from capflow_assets_tests.deploy.pods import MODELS, breaches, model, selects

# Of the External Secrets operator, whose models are not Kubernetes' own.
OPERATORS = {"SecretStore", "ExternalSecret"}
SECRETS = re.compile(r"token|secret|password|passwd|credential|private_key|access_key", re.IGNORECASE)
DEPLOYMENTS = sorted(name for name in manifests() if name.startswith("Deployment/"))


def test_every_object_is_one_that_kubernetes_knows():
    for name, thing in manifests().items():
        kind = thing["kind"]
        assert kind in MODELS.keys() | OPERATORS, name
        assert kind == "Namespace" or thing["metadata"]["namespace"] == NAMESPACE, name
        if kind in MODELS:
            model(thing)


def test_a_wrong_key_would_be_found():
    thing = manifests()["Deployment/mlflow"]
    thing["spec"]["replica"] = 2
    with pytest.raises(Exception, match="replica"):
        model(thing)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_pod_is_restricted(name):
    deployment = model(manifests()[name])
    assert breaches(deployment.spec.template.spec) == []
    assert selects(deployment.spec.selector.match_labels, deployment.spec.template.metadata.labels)
    for container in deployment.spec.template.spec.containers:
        assert container.readiness_probe, name


def test_a_pod_that_is_not_restricted_would_be_found():
    deployment = model(manifests()["Deployment/mlflow"])
    deployment.spec.template.spec.security_context.run_as_non_root = None
    deployment.spec.template.spec.containers[0].security_context = None
    assert "may run as root" in breaches(deployment.spec.template.spec)
    assert "mlflow may gain privileges" in breaches(deployment.spec.template.spec)


def test_the_two_doors_lead_to_the_two_servers():
    """Engineers to the server that can launch, analysts to the one that cannot, each by a group of its own."""
    objects = manifests()
    doors = {}
    for who in ("engineers", "analysts"):
        arguments = dict(
            argument.removeprefix("--").split("=", 1)
            for argument in objects[f"Deployment/proxy-{who}"]["spec"]["template"]["spec"]["containers"][0]["args"]
        )
        host = objects[f"Ingress/proxy-{who}"]["spec"]["rules"][0]["host"]
        assert arguments["redirect-url"] == f"https://{host}/oauth2/callback"
        assert objects[f"Ingress/proxy-{who}"]["spec"]["tls"][0]["hosts"] == [host]
        assert arguments["cookie-secure"] == "true"
        # The page answers to that name, and the proxy passes it on: a foreign page's request is told by it.
        assert host in objects["ConfigMap/capflow-environment"]["data"]["CAPFLOW_ALLOWED_HOSTS"].split(",")
        assert arguments["pass-host-header"] == "true"
        assert not {"skip-auth-route", "skip-auth-regex", "skip-jwt-bearer-tokens"} & arguments.keys()
        doors[who] = (arguments["upstream"], arguments["allowed-group"])
    assert doors == {
        "engineers": ("http://dagster-dagster-webserver:3000", "data-engineers"),
        "analysts": ("http://dagster-dagster-webserver-read-only:3000", "data-analysts"),
    }
    assert values()["dagsterWebserver"]["enableReadOnly"] is True
    assert values()["ingress"] == {"enabled": False}
    assert values()["dagsterWebserver"]["service"]["type"] == "ClusterIP"


def test_nothing_else_is_published():
    for name, thing in manifests().items():
        assert thing["kind"] != "Ingress" or name in {"Ingress/proxy-engineers", "Ingress/proxy-analysts"}
        assert thing["kind"] != "Service" or thing["spec"].get("type", "ClusterIP") == "ClusterIP", name


def test_every_pod_of_ours_is_reached_by_its_policy_alone():
    """What is refused for all is allowed again for a port that the pod listens at."""
    policies = {name: thing["spec"] for name, thing in manifests().items() if thing["kind"] == "NetworkPolicy"}
    assert policies.pop("NetworkPolicy/nothing-inwards") == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name in DEPLOYMENTS:
        template = manifests()[name]["spec"]["template"]
        listens = {port["containerPort"] for container in template["spec"]["containers"] for port in container["ports"]}
        opened = {
            port["port"]
            for spec in policies.values()
            if selects(spec["podSelector"]["matchLabels"], template["metadata"]["labels"])
            for rule in spec["ingress"]
            for port in rule["ports"]
        }
        assert opened == listens, name
        assert all(rule["from"] for spec in policies.values() for rule in spec["ingress"])


def test_what_is_asked_for_by_name_is_there():
    """Secrets, configuration, claims and the service account, as the values and the manifests name them."""
    objects = manifests()
    provided = {
        f"Secret/{thing['spec']['target']['name']}" for thing in objects.values() if thing["kind"] == "ExternalSecret"
    }
    provided |= {name for name in objects if name.startswith(("ConfigMap/", "PersistentVolumeClaim/"))}
    # The one is made of a file by hand, as the page says, the other by the chart.
    provided |= {"ConfigMap/capflow-databricks", "ServiceAccount/capflow"}
    referenced = {f"ServiceAccount/{values()['global']['serviceAccountName']}"}
    referenced |= {f"Secret/{values()['global']['postgresqlSecretName']}"}
    for tree in (values(), *objects.values()):
        for path, value in walk(tree):
            match path:
                case (*_, "envSecrets", _, "name") | (*_, "secretRef", "name"):
                    referenced.add(f"Secret/{value}")
                case (*_, "envConfigMaps", _, "name") | (*_, "configMapRef", "name") | (*_, "configMap", "name"):
                    referenced.add(f"ConfigMap/{value}")
                case (*_, "claimName"):
                    referenced.add(f"PersistentVolumeClaim/{value}")
                case (*_, "serviceAccountName"):
                    referenced.add(f"ServiceAccount/{value}")
    assert referenced == provided


def test_the_database_password_has_the_name_that_the_chart_asks_for():
    secret = manifests()["ExternalSecret/dagster-postgresql-secret"]["spec"]
    assert secret["target"]["name"] == values()["global"]["postgresqlSecretName"]
    assert [entry["secretKey"] for entry in secret["data"]] == ["postgresql-password"]
    assert values()["generatePostgresqlPasswordSecret"] is False


def test_no_secret_is_written_down():
    """No key of a secret's name has a value, but for references, and no text looks like one."""
    references = {"envSecrets", "secretRef", "secretKeyRef", "secretStoreRef", "ExternalSecret", "secretName"}
    for tree in (values(), load("compose.yaml"), *manifests().values()):
        for path, value in walk(tree):
            if not SECRETS.search(path[-1]) or references & set(path) or not isinstance(value, str):
                continue
            known = path[-1] in {"secretKey", "postgresqlSecretName", "CAPFLOW_SECRETS"} or "${" in value
            assert known, f"{'.'.join(path)} = {value}"
    shapes = r"AKIA[0-9A-Z]{16}|dapi[0-9a-f]{32}|eyJ[\w-]{10,}\.|-----BEGIN|dose[0-9a-f]{32}|://(?!user:password@)[^/\s:@]+:[^@\s$…{<]+@"
    for name, text in text_files().items():
        assert not re.search(shapes, text), f"{name}: {re.search(shapes, text)}"


def test_every_image_is_pinned():
    """A version, never latest, and ours is the version of the project in all places."""
    images = []
    for name, text in text_files().items():
        images += [(name, image) for image in re.findall(r"^\s*(?:- )?image: ([\w./-]+(?::[\w.-]+)?)$", text, re.M)]
        images += [(name, image) for image in re.findall(r"PYTHON_IMAGE=(\S+)", text)]
        images += [(name, f"{a}:{b}") for a, b in re.findall(r"repository: (\S+)\n\s+tag: \"?([\w.-]+)", text)]
    assert len(images) >= 9
    from importlib.metadata import version

    for name, image in images:
        tag = image.rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), f"{name}: {image}"
        if "capflow-assets" in image:
            assert tag == version("capflow-assets"), f"{name}: {image}"

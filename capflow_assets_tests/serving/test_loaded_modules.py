"""A server that answers has loaded what answers need, and nothing of what trains or publishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.serving.tokens import issue
from capflow_assets.stores.model_files import MODEL as MODEL_FILE
from capflow_assets_doubles.fleets import MODEL, USERS, Fleet, fleet
from capflow_assets_tests.serving.one_net import CUSTOMER, net_home
from capflow_assets_tests.serving.one_net import MODEL as NET

# Each takes seconds to be imported, and 20 to 200 MB.
HEAVY = {"dagster", "deltalake", "mlflow", "onnx", "pandas", "pyarrow", "scipy", "sklearn", "skops", "torch", "xgboost"}
CONVERTER = "capflow_assets.learning.online.conversion"
SERVE = """
import json, sys, threading, time, urllib.error, urllib.request
import uvicorn
from capflow_assets.cli.serve_command import application

server = uvicorn.Server(uvicorn.Config(application(), port=0, log_config=None))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.02)
port = server.servers[0].sockets[0].getsockname()[1]
answers, refusals = [], []
for path, token, body in json.loads(sys.argv[1]):
    head = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    address = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(address, json.dumps(body).encode(), head)
    for _ in range(600):
        try:
            with urllib.request.urlopen(request) as response:
                answers += json.load(response)["answers"]
            break
        except urllib.error.HTTPError as error:  # nothing can be said yet
            refusals.append(error.code)
            time.sleep(0.5)
loaded = sorted(sys.modules)
server.should_exit = True
thread.join()
print(json.dumps({"answers": answers, "loaded": loaded, "refusals": refusals}))
"""


@dataclass(frozen=True)
class Ended:
    """What a server answered, the statuses of its refusals, and the modules that it had loaded then."""

    answers: list[dict[str, Any]]
    refusals: list[int]
    loaded: set[str]


def asked_of_a_server(root: Path, calls: list[tuple[str, str, dict[str, object]]]) -> Ended:
    """What a server of a home answers in a process of its own; each call again, until it is answered."""
    ended = subprocess.run(
        [sys.executable, "-c", SERVE, json.dumps(calls)],
        env={**os.environ, "CAPFLOW_HOME": str(root)},
        stdout=subprocess.PIPE,
        check=True,
    )
    content = json.loads(ended.stdout.splitlines()[-1])
    return Ended(content["answers"], content["refusals"], set(content["loaded"]))


def features(shops: Fleet) -> dict[str, float]:
    return dict.fromkeys(shops.deployment.stages.model(MODEL).model.columns, 0.5)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A server that was asked by features: trees twice, a net, and trees that an earlier release registered."""
    root = tmp_path_factory.mktemp("loaded")
    shops = fleet(root, 2, versions=1)
    net_home(root)
    (shop, earlier), token = shops.customers, issue(shops.deployment.home, CUSTOMER)
    registry = shops.deployment.registry
    content, report = registry.read(earlier, MODEL, 1, MODEL_FILE), registry.report(earlier, MODEL, 1)
    registry.promote(earlier, MODEL, registry.register(earlier, MODEL, content, report, {"reference.json": b"{}"}), "")
    registry.client.delete_model_version(f"{earlier}.{MODEL}", "1")  # which could answer in its place
    by_features = {"features": features(shops)}
    calls: list[tuple[str, str, str, list[dict[str, object]]]] = [
        (shop, MODEL, shops.tokens[shop], [by_features, {"user_id": USERS[0]}]),
        (CUSTOMER, NET, token, [{"basket": ["i07"]}]),
        (earlier, MODEL, shops.tokens[earlier], [by_features]),
    ]
    return asked_of_a_server(
        root,
        [
            (f"/v1/{customer}/models/{model}/answers", own_token, {"instances": instances})
            for customer, model, own_token, instances in calls
        ],
    )


def test_trees_and_a_net_answer_live_without_the_libraries_that_train(ended):
    assert [(answer["served_by"], answer["engine"]) for answer in ended.answers] == [("live", "onnx")] * 4
    assert {name.partition(".")[0] for name in ended.loaded} & HEAVY == set()


def test_a_version_of_an_earlier_release_is_converted_by_another_process(ended):
    assert ended.answers[-1]["model_version"] == 2
    assert set(ended.refusals) == {503}, "until it is converted, and there is no night to fall back on"
    assert CONVERTER not in ended.loaded

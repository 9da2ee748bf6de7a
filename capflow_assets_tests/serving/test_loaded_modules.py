"""A server that answers has loaded what answers need, and nothing of what trains or publishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from capflow_assets.serving.tokens import issue
from capflow_assets_doubles.fleets import MODEL, USERS, Fleet, fleet
from capflow_assets_tests.serving.one_net import CUSTOMER, net_home
from capflow_assets_tests.serving.one_net import MODEL as NET

# Each takes seconds to be imported, and 20 to 200 MB.
HEAVY = {"dagster", "deltalake", "mlflow", "onnx", "pandas", "pyarrow", "scipy", "sklearn", "skops", "torch", "xgboost"}
SERVE = """
import json, sys, threading, time, urllib.request
import uvicorn
from capflow_assets.cli.serve_command import application

server = uvicorn.Server(uvicorn.Config(application(), port=0, log_config=None))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.02)
port = server.servers[0].sockets[0].getsockname()[1]
answers = []
for path, token, body in json.loads(sys.argv[1]):
    head = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    address = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode(), head)) as response:
        answers += json.load(response)["answers"]
loaded = sorted({name.partition(".")[0] for name in sys.modules})
server.should_exit = True
thread.join()
print(json.dumps({"answers": answers, "loaded": loaded}))
"""


def answers_of(root: Path, calls: list[tuple[str, str, dict[str, object]]]) -> tuple[list[dict[str, object]], set[str]]:
    """What a server of a home answers in a process of its own, and the packages that it has loaded then."""
    ended = subprocess.run(
        [sys.executable, "-c", SERVE, json.dumps(calls)],
        env={**os.environ, "CAPFLOW_HOME": str(root)},
        stdout=subprocess.PIPE,
        check=True,
    )
    answer = json.loads(ended.stdout.splitlines()[-1])
    return answer["answers"], set(answer["loaded"])


def features(shops: Fleet) -> dict[str, float]:
    return dict.fromkeys(shops.deployment.stages.model(MODEL).model.columns, 0.5)


def test_trees_and_a_net_answer_live_without_the_libraries_that_train(tmp_path):
    shops = fleet(tmp_path, 1, versions=1)
    net_home(tmp_path)
    (shop,), token = shops.customers, issue(shops.deployment.home, CUSTOMER)
    instances = [{"features": features(shops)}, {"user_id": USERS[0]}]
    answers, loaded = answers_of(
        tmp_path,
        [
            (f"/v1/{shop}/models/{MODEL}/answers", shops.tokens[shop], {"instances": instances}),
            (f"/v1/{CUSTOMER}/models/{NET}/answers", token, {"instances": [{"basket": ["i07"]}]}),
        ],
    )
    assert [(answer["served_by"], answer["engine"]) for answer in answers] == [("live", "onnx")] * 3
    assert loaded & HEAVY == set()

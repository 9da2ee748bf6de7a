"""`capflow serve` against a bare FastAPI with ONNX Runtime and one model, and `mlflow models serve` of the same trees.

One simulated customer. Requests come at a fixed rate, whatever the server says (a closed loop would wait with it), from
a client of its own process; server and client have a core each where there are two. Printed: the rate, p50 and p99 of
the time from when a request was due, errors, and the server's resident bytes. A peer that is not installed is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

RATES = (100, 300, 600)
SECONDS = 5.0
CONNECTIONS = 32
MODEL = "purchase_propensity"
BARE = """
import sys
import numpy as np, onnxruntime, orjson, uvicorn
from fastapi import FastAPI, Request, Response
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
app = FastAPI()
@app.post("/answers")
async def answers(request: Request):
    body = orjson.loads(await request.body())
    rows = np.array(body["rows"], dtype=np.float32)
    margin = session.run(None, {"features": rows})[0][:, 0]
    return Response(orjson.dumps({"scores": (1 / (1 + np.exp(-margin))).tolist()}), media_type="application/json")
uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="error")
"""
MLFLOW = """
import sys
import mlflow.xgboost, xgboost
mlflow.xgboost.save_model(xgboost.Booster(model_file=sys.argv[1]), sys.argv[2])
"""


def run() -> None:
    """Print one line a server, kind of request and rate."""
    with tempfile.TemporaryDirectory() as folder:
        home, token, user, features = _home(Path(folder))
        head = {"authorization": f"Bearer {token}"}
        path = f"/v1/shop/models/{MODEL}/answers"
        program = [sys.executable, "-m", "capflow_assets", "serve", "--home", str(home), "--port"]
        with _server(program) as (port, process):
            warm = _post(path, {"instances": [{"features": features}]}, head)
            _measure("ours, by user id", port, process, _get(f"{path}/{user}", head))
            _measure("ours, by features", port, process, warm)
        row = [value if value is not None else float("nan") for value in features.values()]
        graph, booster = _peer_models(Path(folder), len(row))
        numbers = np.nan_to_num(row).tolist()
        with _server([sys.executable, "-c", BARE, graph]) as (port, process):
            _measure("bare FastAPI and ONNX Runtime", port, process, _post("/answers", {"rows": [numbers]}, {}))
        with suppress(subprocess.CalledProcessError, FileNotFoundError):
            model = str(Path(folder) / "mlflow_model")
            subprocess.run([sys.executable, "-c", MLFLOW, booster, model], check=True, capture_output=True)  # noqa: S603
            program = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "-p"]
            body = {"dataframe_split": {"columns": [f"f{n}" for n in range(len(row))], "data": [numbers]}}
            with _server(program) as (port, process):
                _measure("mlflow models serve", port, process, _post("/invocations", body, {}))


def _home(folder: Path) -> tuple[Path, str, str, dict[str, float | None]]:
    """A home with a customer whose one model was trained and has answered; its token, a user and its features."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.home.places import Home
    from capflow_assets.serving.lookups import Lookups
    from capflow_assets.serving.publication import publish
    from capflow_assets.serving.tokens import issue
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    root = folder / "home"
    brand = tiny("shop", seed=1, users=1500, days=500)
    toml = write(simulate(brand), folder / "files", settings={"only_models": [MODEL]})
    with toml.open("a") as file:
        file.write("\n[serving]\nvalid_hours = 87600.0\nanswers_per_second = 1000000\n")
    for words in (("onboard", str(toml)), ("run", "shop"), ("promote", "shop", MODEL), ("run", "shop")):
        command = [sys.executable, "-m", "capflow_assets", *words, "--home", str(root)]
        subprocess.run(command, check=words[0] != "promote", capture_output=True)  # noqa: S603
    opened = deployment(STAGES, SOURCES, home=Home.of(root))
    token = issue(opened.home, "shop")
    publish(opened, "shop")
    user = str(opened.lake.arrow("shop", f"predictions/{MODEL}", 1).column("user_id")[0])
    known = Lookups(opened.home).features("shop", user)[0] or {}
    wanted = STAGES.model(MODEL).model.columns
    return root, token, user, {name: None if known[name] != known[name] else known[name] for name in wanted}


def _peer_models(folder: Path, width: int) -> tuple[str, str]:
    """Trees of the usual size over as many features: as a graph, and as XGBoost saves them."""
    import xgboost

    from capflow_assets.serving.tree_graphs import graph_of

    chance = np.random.default_rng(0)
    values = chance.random((2000, width))
    rows = xgboost.DMatrix(values, label=values[:, 0] > 0.5, feature_names=[f"f{n}" for n in range(width)])
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4}, rows, 200)
    graph, saved = folder / "peer.onnx", folder / "peer.ubj"
    graph.write_bytes(graph_of(json.loads(bytes(booster.save_raw("json"))))[0])
    booster.save_model(saved)
    return str(graph), str(saved)


@contextmanager
def _server(program: list[str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server on a free port; the port is the last word of its command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    silent = subprocess.DEVNULL
    with subprocess.Popen([*program, str(port)], stdout=silent, stderr=silent) as process:  # noqa: S603
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process.pid, cores[:1])
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        try:
            yield port, process
        finally:
            process.terminate()
            process.wait(60)


def _get(path: str, head: dict[str, str]) -> bytes:
    return _request("GET", path, b"", head)


def _post(path: str, body: object, head: dict[str, str]) -> bytes:
    return _request("POST", path, json.dumps(body).encode(), {**head, "content-type": "application/json"})


def _request(method: str, path: str, body: bytes, head: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in head.items()), "", ""]).encode() + body


def _measure(name: str, port: int, process: subprocess.Popen[bytes], request: bytes) -> None:
    cores = sorted(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores[-1:])
    try:
        asyncio.run(_fixed_rate(port, request, 50, 2.0))
        for rate in RATES:
            took, errors = asyncio.run(_fixed_rate(port, request, rate, SECONDS))
            p50, p99 = (1e3 * float(np.percentile(took, share)) for share in (50, 99))
            rss = _tree_rss(process.pid) / 1e6
            print(f"{name}: {rate}/s p50 {p50:.1f} ms, p99 {p99:.1f} ms, {errors} errors, {rss:.0f} MB")  # noqa: T201
    finally:
        os.sched_setaffinity(0, before)


async def _fixed_rate(port: int, request: bytes, rate: int, seconds: float) -> tuple[list[float], int]:
    """The seconds from when each request was due until its answer, and how many were no success."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    began, took, errors = time.perf_counter(), [], 0

    async def one(due: float) -> None:
        nonlocal errors
        reader, writer = await free.get()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        took.append(time.perf_counter() - due)
        errors += b" 200 " not in head.split(b"\r\n")[0] + b" "
        free.put_nowait((reader, writer))

    tasks = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return took, errors


def _tree_rss(pid: int) -> int:
    """Resident bytes of a process and its children."""
    import psutil

    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))

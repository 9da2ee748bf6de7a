"""Other servers of the same trees, each in a virtual environment of its own, which is made once and kept.

``CAPFLOW_BENCH_PEERS`` names the folder of the environments. One that cannot be made is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.serving_load import post, server

PACKAGES = {
    "mlflow": ["mlflow", "xgboost"],
    "mlserver": ["mlserver", "mlserver-xgboost"],
    "bento": ["bentoml", "xgboost"],
}
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
SAVED_BY_MLFLOW = """
import sys
import mlflow.xgboost, xgboost
mlflow.xgboost.save_model(xgboost.Booster(model_file=sys.argv[1]), sys.argv[2])
"""
BENTO = """
import bentoml, numpy as np, xgboost
@bentoml.service(workers=1)
class Trees:
    def __init__(self):
        self.booster = xgboost.Booster(model_file={booster!r})
        self.booster.set_param({{"nthread": 1}})
    @bentoml.api
    def answers(self, rows: list[list[float]]) -> list[float]:
        return self.booster.inplace_predict(np.array(rows)).tolist()
"""


@dataclass(frozen=True, slots=True)
class Trees:
    """The same trees as a graph and as XGBoost saves them, and one row of features."""

    graph: str
    booster: str
    row: list[float]


@contextmanager
def bare(trees: Trees) -> Iterator[tuple[int, int, bytes]]:
    """FastAPI with ONNX Runtime and one model, and nothing else."""
    with server([sys.executable, "-c", BARE, trees.graph, "PORT"]) as (port, pid):
        yield port, pid, post("/answers", {"rows": [trees.row]})


@contextmanager
def mlflow(trees: Trees) -> Iterator[tuple[int, int, bytes]]:
    """``mlflow models serve``."""
    python = _environment("mlflow")
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model")
        subprocess.run([python, "-c", SAVED_BY_MLFLOW, trees.booster, model], check=True, capture_output=True)  # noqa: S603
        words = [python, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "-p", "PORT"]
        names = [f"f{number}" for number in range(len(trees.row))]
        body = {"dataframe_split": {"columns": names, "data": [trees.row]}}
        with server(words, {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}) as (port, pid):
            yield port, pid, post("/invocations", body)


@contextmanager
def mlserver(trees: Trees) -> Iterator[tuple[int, int, bytes]]:
    """MLServer with its own runtime for XGBoost, in one process."""
    python = _environment("mlserver")
    with tempfile.TemporaryDirectory() as folder:
        settings = {"name": "trees", "implementation": "mlserver_xgboost.XGBoostModel"}
        (Path(folder) / "model-settings.json").write_text(
            json.dumps({**settings, "parameters": {"uri": trees.booster, "version": "1"}})
        )
        own = {"http_port": "PORT", "grpc_port": "0", "metrics_port": "0", "host": "127.0.0.1", "parallel_workers": "0"}
        environment = {f"MLSERVER_{name.upper()}": value for name, value in own.items()}
        tensor = {"name": "x", "shape": [1, len(trees.row)], "datatype": "FP64", "data": trees.row}
        words = [str(Path(python).with_name("mlserver")), "start", folder]
        with server(words, environment) as (port, pid):
            yield port, pid, post("/v2/models/trees/infer", {"inputs": [tensor]})


@contextmanager
def bento(trees: Trees) -> Iterator[tuple[int, int, bytes]]:
    """BentoML with one worker."""
    python = _environment("bento")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "service.py").write_text(BENTO.format(booster=trees.booster))
        words = [str(Path(python).with_name("bentoml")), "serve", "service:Trees", "--host", "127.0.0.1", "-p", "PORT"]
        with server(words, {"BENTOML_DO_NOT_TRACK": "True"}, Path(folder)) as (port, pid):
            yield port, pid, post("/answers", {"rows": [trees.row]})


PEERS = {
    "bare FastAPI and ONNX Runtime": bare,
    "mlflow models serve": mlflow,
    "MLServer": mlserver,
    "BentoML": bento,
}


def _environment(name: str) -> str:
    """The Python of a peer's environment, made if it is not there.

    Raises:
        OSError, CalledProcessError: it cannot be made.
    """
    folder = Path(os.environ.get("CAPFLOW_BENCH_PEERS") or Path(tempfile.gettempdir()) / "capflow_peers") / name
    python = folder / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        for words in (["venv", "-q", str(folder)], ["pip", "install", "-q", "--python", str(python), *PACKAGES[name]]):
            subprocess.run([uv, *words], check=True)  # noqa: S603
    return str(python)
